"""The supervisor: takes tickets from the queue, keeps the lease, watches the child. No torch here.

An RQ worker whose work horse is a warm child (docs/decisions has why). RQ lists, leases and
hands out; how a job ends is decided here and stands in storage.
"""

import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import psutil
from redis import Redis
from redis.exceptions import RedisError, ResponseError
from rq import Queue
from rq.exceptions import DeserializationError
from rq.executions import Execution
from rq.job import Job as Ticket
from rq.serializers import JSONSerializer
from rq.worker import Worker
from rq.worker.base import WorkerStatus

from emserve.book import JobBook
from emserve.errors import (
    BrokerUnavailable,
    EmserveError,
    JobDeleted,
    JobNotFound,
    JobTimedOut,
    OutOfMemory,
    RecordUnreadable,
    StorageFull,
    StorageUnavailable,
)
from emserve.fleet import Fleet, WorkerEntry
from emserve.ids import PATTERN, made_at
from emserve.jobs import Attempt, JobEnd, JobRecord
from emserve.logs import about
from emserve.pairing import ForeignBroker, Pairing
from emserve.settings import Settings
from emserve.tally import Event
from emserve.tickets import LEASE_SECONDS, QUEUE, TASK
from workers.messages import Advanced, Assignment, Begun, Interrupted
from workers.warm_child import WarmChild
from workers.watch import Watch

log = logging.getLogger(__name__)

RENEW_SECONDS = 2.0
POLL_SECONDS = 0.5
_REFUSED_SECONDS = 1.0
_STORAGE_SECONDS = 60.0
_OTHERS_SECONDS = 3.0  # the reconciler takes two of them to queue a job again
_WORKER_TTL = 20  # seconds; RQ waits for a ticket 15 s less than this before it renews


class Outcome(StrEnum):
    """Why the supervisor stops watching an attempt."""

    ENDED = "ended"  # the child wrote the job's end
    DIED = "died"  # the child is gone
    INTERRUPTED = "interrupted"  # the storage went away
    NOT_BEGUN = "not begun"  # the child was gone before it had the job
    CANCELLED = "cancelled"  # the owner wants it to stop
    TIMED_OUT = "timed out"
    TOO_LARGE = "too large"  # the child is over its memory budget
    STOPPING = "stopping"  # this worker must go


@dataclass(frozen=True)
class Limits:
    """What one attempt may take."""

    seconds: float
    """Or, of a volume, one step of it."""
    memory_bytes: int
    shutdown_seconds: float

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        memory = settings.worker_memory_bytes or int(psutil.virtual_memory().total * 0.9)
        return cls(settings.job_timeout_seconds, memory, settings.shutdown_seconds)


def _is_about_no_ticket(record: logging.LogRecord) -> bool:
    """Of a ticket RQ says less than our own lines, and has its id in the text alone."""
    arguments = record.args if isinstance(record.args, tuple) else ()
    return record.levelno > logging.INFO or not any(made_at(str(each)) for each in arguments)


class Supervisor(Worker):
    """One per device slot."""

    max_connection_wait_time = 2.0  # seconds; the longest pause before it looks for a lost broker again

    def __init__(
        self, name: str, redis: Redis, book: JobBook, child: WarmChild, limits: Limits, pairing: Pairing
    ) -> None:
        super().__init__(
            [Queue(QUEUE, connection=redis, serializer=JSONSerializer)],
            name=name,
            connection=redis,
            serializer=JSONSerializer,
            worker_ttl=_WORKER_TTL,
            log_job_description=False,
        )
        self.log.addFilter(_is_about_no_ticket)
        self._book = book
        self._child = child
        self._limits = limits
        self._pairing = pairing
        self._fleet = Fleet(redis)
        self._device = ""
        self._job_id: str | None = None
        self._stop_at: float | None = None

    def start(self, device: str) -> None:
        """Warms the child, then works until a signal stops it. Raises SystemExit where broker and storage do
        not belong together."""
        self._stop_if_foreign()
        self._device = device
        self._child.ensure_ready()
        loaded = [resident.id for resident in self._child.residents]
        log.info("worker ready", extra={"worker": self.name, "device": device, "loaded": loaded})
        self.work(logging_level=None)
        self._child.kill()

    # ---- RQ's hooks -------------------------------------------------------------------------------

    def subscribe(self) -> None:
        """No command channel: a cancel is a mark in storage, and nobody shuts workers down by message."""

    def unsubscribe(self) -> None:
        """Nothing was subscribed."""

    def check_for_suspension(self, burst: bool) -> None:
        """Nobody suspends workers, and asking would end this one whenever the broker is away."""

    def run_maintenance_tasks(self) -> None:
        """The reconciler puts lost jobs right; RQ's own rules would fail them."""

    @property
    def should_run_maintenance_tasks(self) -> bool:
        return False

    def get_heartbeat_ttl(self, job: Ticket, working_time: float = 0.0) -> int:  # noqa: ARG002 - RQ's signature
        return LEASE_SECONDS

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Ticket, Queue] | None:
        """Takes no ticket before the child is there to work on it; drops those that RQ cannot read."""
        while True:
            self._child.ensure_ready()
            try:
                taken: tuple[Ticket, Queue] | None = super().dequeue_job_and_maintain_ttl(
                    timeout, max_idle_time
                )
            except (ValueError, TypeError, KeyError) as error:
                ticket_id = str(getattr(error, "job_id", "?"))
                log.error("refused a ticket that cannot be read", extra={"ticket": ticket_id[:64]})
                self._book.tally.add(Event.TICKET_REFUSED)
                self.connection.lrem(self.queues[0].intermediate_queue_key, 0, ticket_id)
            except ResponseError as error:  # MISCONF: its file cannot be written, so it moves no ticket
                log.warning("the broker hands out nothing", extra={"reason": str(error)})
                time.sleep(_REFUSED_SECONDS)
            else:
                return taken

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:  # RQ types no pipeline
        if self._job_id is None and pipeline is None and self._stop_at is None:
            self._stop_if_foreign()  # the broker may have had no owner yet when this worker started
            self._child.ensure_ready()  # one that died at rest must cost no job an attempt
        entry = WorkerEntry(
            name=self.name, device=self._device, job_id=self._job_id, residents=self._child.residents
        )
        try:
            super().heartbeat(timeout, pipeline)
            self._fleet.renew(entry)
        except (RedisError, BrokerUnavailable) as error:
            log.warning("the broker takes no sign of life; working on", extra={"reason": str(error)})

    def _stop_if_foreign(self) -> None:
        """A worker that sees another storage would take tickets of jobs that it cannot find."""
        try:
            with suppress(BrokerUnavailable, StorageUnavailable):
                self._pairing.check()
        except ForeignBroker as error:
            log.error("the worker cannot work here", extra={"reason": str(error)})
            raise SystemExit(1) from error

    def set_state(self, state: str, pipeline: Any = None) -> None:  # RQ types no pipeline
        with suppress(RedisError):  # it is only shown
            super().set_state(state, pipeline)

    def set_shutdown_requested_date(self) -> None:
        """Tells nobody: a signal's handler must not ask a broker that may be away."""

    def handle_warm_shutdown_request(self) -> None:
        self._stop_at = time.monotonic() + self._limits.shutdown_seconds

    def kill_horse(self, sig: Any = None) -> None:  # noqa: ARG002 - RQ's signature; a child is only ever killed
        self._child.kill()

    def teardown(self) -> None:
        try:
            super().teardown()  # type: ignore[no-untyped-call]
            self._fleet.leave(self.name)
        except (RedisError, BrokerUnavailable):
            log.warning("left without saying goodbye; the broker is away")

    def execute_job(self, job: Ticket, queue: Queue) -> None:
        """One ticket from lease to verdict."""
        job_id = job.id
        with about(job_id=job_id):
            if not _is_ours(job):
                log.error("refused a ticket that is not ours", extra={"ticket": job_id[:64]})
                self._book.tally.add(Event.TICKET_REFUSED)
                self._drop(job, queue)
                return
            try:
                self._lease_and_attempt(job)
            except (RedisError, BrokerUnavailable, StorageFull, StorageUnavailable) as error:
                # A lease that could not be given up runs out, and the reconciler queues the job again.
                reason = error.for_operators if isinstance(error, EmserveError) else str(error)
                log.warning("broker or storage went between two steps", extra={"reason": reason})
            except RecordUnreadable as error:  # since it was taken: the reconciler says so, too
                log.error("cannot read a job", extra={"reason": error.for_operators})
            finally:
                self._job_id = None
            self.set_state(WorkerStatus.IDLE)

    def _lease_and_attempt(self, ticket: Ticket) -> None:
        execution = self.prepare_execution(ticket)
        try:
            self.prepare_job_execution(ticket, remove_from_intermediate_queue=True)
            self._job_id = ticket.id
            self._attempt(ticket, execution)
        except (StorageFull, StorageUnavailable):
            self._release(ticket, execution)
            raise

    # ---- an attempt -------------------------------------------------------------------------------

    def _attempt(self, ticket: Ticket, execution: Execution) -> None:
        try:
            record = self._due(ticket.id, execution.id)
        except JobNotFound:
            log.warning("the storage does not know this job; others may", extra={"pause": _OTHERS_SECONDS})
            self._release(ticket, execution)
            self._leave_to_others()
            return
        if record is None:
            self._release(ticket, execution)
            return
        with about(**record.traces):
            self._run(ticket, execution, record)

    def _run(self, ticket: Ticket, execution: Execution, record: JobRecord) -> None:
        try:
            attempt = self._book.begin(ticket.id, execution.id, self.name)
        except JobDeleted:  # just now
            self._release(ticket, execution)
            return
        except (StorageFull, StorageUnavailable) as error:
            log.warning("the storage takes nothing; the job waits", extra={"reason": error.for_operators})
            self._release(ticket, execution)  # the reconciler queues it again
            return
        log.info("attempt starts", extra={"attempt": attempt.number, "execution_id": execution.id})
        self._child.assign(
            Assignment(
                job_id=ticket.id, execution_id=execution.id, attempt=attempt.number, traces=record.traces
            )
        )
        with Watch("cancel", lambda: self._book.wants_cancel(ticket.id), POLL_SECONDS) as cancel:
            outcome = self._watch(ticket, execution, cancel)
            if outcome is Outcome.INTERRUPTED:
                self._wait_for_storage(ticket, execution, cancel)
        log.info("attempt over", extra={"attempt": attempt.number, "outcome": outcome.value})
        self._book.tally.add(Event.ATTEMPT, outcome.value)
        if outcome in (Outcome.DIED, Outcome.NOT_BEGUN):
            extra = {"reason": self._child.describe_end(), "attempt": attempt.number}
            log.error("the child died", extra=extra)
        if outcome not in (Outcome.ENDED, Outcome.INTERRUPTED):
            self._child.kill()
        # The lease goes first: what follows may queue the job again, under the same ticket id.
        self._release(ticket, execution)
        self._judge(outcome, ticket.id, attempt)

    def _leave_to_others(self) -> None:
        """Takes no ticket for a moment, so that a worker with another view of the storage gets it."""
        until = time.monotonic() + _OTHERS_SECONDS
        while time.monotonic() < until and self._stop_at is None:
            time.sleep(POLL_SECONDS)

    def _due(self, job_id: str, execution_id: str) -> JobRecord | None:
        """The job to work on; None if it ended, was cancelled in the queue, was deleted, is unreadable, or
        somebody else's. Raises JobNotFound for one that the storage does not know."""
        try:
            record, end = self._book.record_and_end(job_id)
        except JobDeleted:
            return None
        except RecordUnreadable as error:
            log.error("cannot read a job", extra={"reason": error.for_operators})
            return None
        if end is not None or self._book.tickets.other_lease(job_id, execution_id):
            return None
        if self._book.wants_cancel(job_id):
            self._book.finish(job_id, self._book.cancelled_end(self._book.attempts.count(job_id)))
            return None
        return record

    def _watch(self, ticket: Ticket, execution: Execution, cancel: Watch) -> Outcome:
        """Waits for the child, renews the lease, looks for reasons to stop."""
        deadline = time.monotonic() + self._limits.seconds
        renew_at = 0.0
        begun = False
        while True:
            message = self._child.poll(POLL_SECONDS)
            if isinstance(message, Begun | Advanced):
                deadline = time.monotonic() + self._limits.seconds
                begun = True
            elif message is not None:
                return Outcome.INTERRUPTED if isinstance(message, Interrupted) else Outcome.ENDED
            if not self._child.is_alive:
                return Outcome.DIED if begun else Outcome.NOT_BEGUN
            now = time.monotonic()
            if now >= renew_at:
                self._renew(ticket, execution)
                renew_at = now + RENEW_SECONDS
            reason = self._reason_to_stop(cancel, now, deadline)
            if reason is not None:
                return reason

    def _wait_for_storage(self, ticket: Ticket, execution: Execution, cancel: Watch) -> None:
        """Keeps a job that lost the storage until it could go on, but not for ever: what alone is away may be
        its input, and others wait for this worker."""
        until = time.monotonic() + _STORAGE_SECONDS
        with Watch("storage", lambda: self._book.can_be_worked_on(ticket.id), POLL_SECONDS) as storage:
            while time.monotonic() < until and self._stop_at is None:
                if storage.is_yes or cancel.is_yes:
                    return
                self._renew(ticket, execution)
                time.sleep(POLL_SECONDS)

    def _reason_to_stop(self, cancel: Watch, now: float, deadline: float) -> Outcome | None:
        if cancel.is_yes:
            return Outcome.CANCELLED
        if now > deadline:
            return Outcome.TIMED_OUT
        if self._child.resident_bytes() > self._limits.memory_bytes:
            return Outcome.TOO_LARGE
        if self._stop_at is not None and now > self._stop_at:
            return Outcome.STOPPING
        return None

    def _judge(self, outcome: Outcome, job_id: str, attempt: Attempt) -> None:
        """What follows from the outcome. The first end stands; whatever is written here may come late."""
        book = self._book
        if outcome is Outcome.ENDED:
            return
        if outcome in (Outcome.DIED, Outcome.INTERRUPTED):
            book.lost(job_id, attempt.execution_id)
        elif outcome in (Outcome.STOPPING, Outcome.NOT_BEGUN):
            book.give_back(job_id, attempt.execution_id)
        else:
            book.stop(job_id, attempt.execution_id, self._end_of_stopped(outcome, attempt))

    def _end_of_stopped(self, outcome: Outcome, attempt: Attempt) -> JobEnd:
        book, number = self._book, attempt.number
        if outcome is Outcome.CANCELLED:
            return book.cancelled_end(number, attempt.started_at)
        if outcome is Outcome.TIMED_OUT:
            return book.failed_end(JobTimedOut(self._limits.seconds), number, attempt.started_at)
        return book.failed_end(self._too_large(), number, attempt.started_at)

    def _too_large(self) -> OutOfMemory:
        return OutOfMemory(
            f"The job took more than {self._limits.memory_bytes / 1e9:.1f} GB of memory, the most that this "
            "server allows (EMSERVE_WORKER_MEMORY_BYTES). A smaller image, or a larger downsampling, "
            "needs less."
        )

    def _renew(self, ticket: Ticket, execution: Execution) -> None:
        try:
            self.maintain_heartbeats(ticket, execution)
            self._book.tickets.renew(ticket.id, execution.id)
        except (RedisError, BrokerUnavailable) as error:
            log.warning("cannot renew the lease; working on", extra={"reason": type(error).__name__})

    def _release(self, ticket: Ticket, execution: Execution) -> None:
        """Gives up the lease and forgets the ticket; what cannot be said to the broker expires there."""
        try:
            with self.connection.pipeline() as pipeline:
                self.cleanup_execution(ticket, pipeline, execution)
                pipeline.delete(ticket.key)
                pipeline.execute()
        except RedisError as error:
            log.warning("cannot release the lease", extra={"reason": type(error).__name__})

    def _drop(self, ticket: Ticket, queue: Queue) -> None:
        with self.connection.pipeline() as pipeline:
            pipeline.lrem(queue.intermediate_queue_key, 0, ticket.id)
            pipeline.delete(ticket.key)
            pipeline.execute()


def _is_ours(ticket: Ticket) -> bool:
    """JSON is no sandbox: a ticket is taken only for the one task and with nothing but its own id."""
    try:
        return (
            PATTERN.fullmatch(ticket.id) is not None
            and ticket.func_name == TASK
            and ticket.instance is None
            and ticket.args in ([ticket.id], (ticket.id,))
            and not ticket.kwargs
        )
    except DeserializationError:
        return False
