"""The job book: every job from acceptance to end. Storage holds the truth, Redis what is live."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import ObjectStore
from pydantic import BaseModel, ValidationError
from redis import Redis

from emserve import storage
from emserve.attempts import Attempts
from emserve.complaints import Complaints
from emserve.errors import (
    BrokerUnavailable,
    EmserveError,
    FileRefused,
    JobDeleted,
    JobLost,
    JobNotFound,
    RecordTooNew,
    RecordUnreadable,
    StorageFull,
    StorageUnavailable,
)
from emserve.ids import PATTERN
from emserve.jobs import (
    MAX_ATTEMPTS,
    PROBLEM_PREFIX,
    SCHEMA_VERSION,
    Attempt,
    Job,
    JobEnd,
    JobPage,
    JobRecord,
    JobStatus,
    JobWarning,
    Problem,
    QueuePlace,
    Tombstone,
    Versioned,
    aged_from,
)
from emserve.live import Filter, LiveBoard, LiveState
from emserve.tally import Event, Tally
from emserve.tickets import TicketQueue

log = logging.getLogger(__name__)

Stored = TypeVar("Stored", bound=BaseModel)

_READ_AT_A_TIME = 8

_LIVE_UNKNOWN = JobWarning(
    code="live-state-unavailable", detail="The job queue cannot be reached; status and progress may be stale."
)


class JobBook:
    """Accepts, reads, cancels, ends and deletes jobs. Its methods block; the API calls them in threads."""

    def __init__(self, store: ObjectStore, redis: Redis, keep: timedelta | None = None) -> None:
        """`keep`: how long an ended job is kept; None for ever. Jobs show when they expire, the sweeper
        removes them."""
        self.store = store
        self.keep = keep
        self.attempts = Attempts(store)
        self.live = LiveBoard(redis)
        self.tickets = TicketQueue(redis)
        self.tally = Tally(redis)
        self._complaints = Complaints(log)

    # ---- acceptance -------------------------------------------------------------------------------

    def accept(self, record: JobRecord, confirm: Callable[[], None] = lambda: None) -> Job:
        """Makes a job durable, lists it and queues it. After this returns, it is never lost.

        `confirm` is called once everyone can see the job and before anyone runs it: whatever it raises takes
        the job back.
        """
        storage.create(self.store, storage.record_key(record.id), record.model_dump_json().encode())
        try:
            self.live.add(record, LiveState(status=JobStatus.QUEUED))
            confirm()
            self.tickets.put(record.id)
        except Exception:
            # The caller hears that the job was not accepted, so it must not run later; what the broker was
            # told of it all the same goes when somebody meets the tombstone.
            storage.remove(self.store, storage.record_key(record.id))
            self._bury(record.id)
            raise
        self.tally.add(Event.JOB_ACCEPTED)
        try:
            return self.read(record.id)
        except EmserveError:  # whatever happened to it since, it is accepted
            return _shown(record, JobStatus.QUEUED, 1)

    # ---- reading ----------------------------------------------------------------------------------

    def record(self, job_id: str) -> JobRecord:
        """What was accepted. Raises JobNotFound, JobDeleted among it, and RecordUnreadable."""
        if not PATTERN.fullmatch(job_id):
            raise JobNotFound(job_id)
        with self._fault_of(job_id):
            value = storage.read(self.store, storage.record_key(job_id))
            if value is None:
                raise self._absence(job_id)
        return _parsed(JobRecord, job_id, value)

    def stored_ids(self) -> list[str]:
        """What the folders of jobs and of uploads are named; without what else somebody put there."""
        return [name for name in storage.children(self.store, storage.JOBS) if PATTERN.fullmatch(name)]

    @contextlib.contextmanager
    def _fault_of(self, job_id: str) -> Iterator[None]:
        """Around what reads of one job alone: what the disk refuses of it is that job's fault."""
        try:
            yield
        except FileRefused as error:
            if storage.refuses_all(self.store):
                raise
            raise RecordUnreadable(job_id, cause=error.cause) from error

    def _absence(self, job_id: str) -> JobNotFound | RecordUnreadable:
        """Why there is no record."""
        value = storage.read(self.store, storage.tombstone_key(job_id))
        if value is not None:
            return JobDeleted(job_id, _parsed(Tombstone, job_id, value).deleted_at)
        # An upload leaves neither. Nobody but its owner is to remove a result.
        if storage.exists(self.store, storage.end_key(job_id)) or self.attempts.count(job_id):
            return RecordUnreadable(
                job_id, cause=f"{storage.record_key(job_id)} is gone, and the rest is there."
            )
        return JobNotFound(job_id)

    def end_of(self, job_id: str) -> JobEnd | None:
        """How the job ended, or None while it has not. Raises JobNotFound for what is no id, and
        RecordUnreadable."""
        if not PATTERN.fullmatch(job_id):
            raise JobNotFound(job_id)
        with self._fault_of(job_id):
            value = storage.read(self.store, storage.end_key(job_id))
        return None if value is None else _parsed(JobEnd, job_id, value)

    def record_and_end(self, job_id: str) -> tuple[JobRecord, JobEnd | None]:
        """What was accepted, and how it ended. Raises JobNotFound."""
        # The end first: a deletion takes the record before it, so an end that is missing beside a record
        # has not been.
        end = self.end_of(job_id)
        return self.record(job_id), end

    def read(self, job_id: str) -> Job:
        """The job as the API shows it, links left out. Raises JobNotFound."""
        record, end = self.record_and_end(job_id)
        if end is not None:
            return self._ended(record, end)
        with self._fault_of(job_id):
            return self._unended(record)

    def _unended(self, record: JobRecord) -> Job:
        warnings = list(record.warnings)
        place = None
        try:
            state = self.live.state(record.id)
            if state is not None and state.status is JobStatus.QUEUED:
                position = self.tickets.position(record.id)
                place = QueuePlace(position=position or 0)
        except BrokerUnavailable:
            state = None
            warnings.append(_LIVE_UNKNOWN)
        if state is not None and state.status.ended:
            end = self.end_of(record.id)  # it came just now
            if end is not None:
                return self._ended(record, end)
            state = None
        state = state or LiveState(status=JobStatus.QUEUED)
        status = state.status
        if status is not JobStatus.CANCELLING and storage.exists(self.store, storage.cancel_key(record.id)):
            status = JobStatus.CANCELLING
            # The broker was away when the wish came, or a deletion is under way and must not be undone here.
            with self.unless_deleted(record.id), contextlib.suppress(BrokerUnavailable, StorageFull):
                self._end_if_idle(record.id, state.attempt)
            end = self.end_of(record.id)
            if end is not None:
                return self._ended(record, end)
        return _shown(record, status, state.attempt).model_copy(
            update={
                "warnings": warnings,
                "stage": state.stage,
                "progress": state.progress,
                "queue": place,
                "started_at": state.started_at,
            }
        )

    def _ended(self, record: JobRecord, end: JobEnd) -> Job:
        return _shown(record, end.status, end.attempt).model_copy(
            update={
                "warnings": [*record.warnings, *end.warnings],
                "result": end.result,
                "error": end.error and end.error.model_copy(update={"request_id": record.request_id}),
                "started_at": end.started_at,
                "finished_at": end.finished_at,
                "expires_at": aged_from(record, end) + self.keep if self.keep else None,
            }
        )

    def page(self, chosen: Filter, before: str | None, size: int) -> JobPage:
        """Jobs that pass the filter, newest first; the token is the last id when more may follow."""
        ids = self.live.ids(chosen, before, size + 1)
        with ThreadPoolExecutor(_READ_AT_A_TIME) as threads:  # the storage may be far away
            jobs = [job for job in threads.map(self._listed, ids[:size]) if job is not None]
        return JobPage(jobs=jobs, next_page_token=ids[size - 1] if len(ids) > size else None)

    def _listed(self, job_id: str) -> Job | None:
        try:
            job = self.read(job_id)
        except JobDeleted:  # since it was listed, or while the broker was away
            self.live.forget(job_id)
        except JobNotFound:  # the storage does not know it
            pass
        except RecordUnreadable as error:
            self._complaints.make(job_id, "cannot show a job in the list", reason=error.for_operators)
        else:
            self._complaints.withdraw(job_id)
            return job
        return None

    def list_again(self, job_id: str) -> None:
        """Lists a stored job that the broker does not know, or knows only by what its worker has reported
        since. Raises JobNotFound and RecordUnreadable."""
        # In this order: an end is stored before it is reported, so one that is reported and not stored is of
        # a storage that was set back. Everything else that is reported is newer than what is stored.
        reported = self.live.reported(job_id)
        record, end = self.record_and_end(job_id)
        if end is not None:
            state = LiveState(status=end.status, attempt=end.attempt)
        elif reported is not None and not reported.status.ended:
            state = reported
        else:
            with self._fault_of(job_id):
                state = LiveState(status=JobStatus.QUEUED, attempt=self.attempts.count(job_id) + 1)
        self.live.add(record, state)
        with self._fault_of(job_id):
            if end is None and self.wants_cancel(job_id):
                self.live.mark_cancelling(job_id)

    # ---- cancel -----------------------------------------------------------------------------------

    def wants_cancel(self, job_id: str) -> bool:
        """Whether a job should stop: its owner said so, or it was deleted."""
        return storage.exists(self.store, storage.cancel_key(job_id)) or self._is_deleted(job_id)

    def cancel(self, job_id: str) -> tuple[Job, bool]:
        """Marks the wish durably; a job that nobody works on ends at once.

        Returns the job and whether the call changed anything. Raises JobNotFound.
        """
        job = self.read(job_id)
        if job.status.ended:
            return job, False
        with self.unless_deleted(job_id):
            # Empty, since for that a full disk has room: it is where a job most needs to be stopped.
            storage.create(self.store, storage.cancel_key(job_id), b"")
            # Without the broker, or room for an end, the wish stands, and whoever has the job sees it there.
            with contextlib.suppress(BrokerUnavailable, StorageFull):
                self._end_if_idle(job_id, job.attempt)
        return self.read(job_id), True

    def end_if_cancelled(self, job_id: str) -> None:
        """Ends a job that shall stop, where its cancel was cut off in between. One that a worker has, stops
        there."""
        if storage.exists(self.store, storage.cancel_key(job_id)):
            self._end_if_idle(job_id, self.attempts.count(job_id))

    def _end_if_idle(self, job_id: str, attempt: int) -> None:
        self.live.mark_cancelling(job_id)
        if job_id not in self.tickets.leased():
            self.finish(job_id, self.cancelled_end(attempt))
            self.tickets.remove(job_id)

    # ---- delete -----------------------------------------------------------------------------------

    def delete(self, job_id: str) -> None:
        """Removes a job for good, whatever its state; again changes nothing. Raises JobNotFound.

        A worker that has it sees the tombstone, stops, and removes what it wrote since.
        """
        try:
            self.record(job_id)
        except (JobDeleted, RecordUnreadable):
            pass
        except JobNotFound:
            if not self._is_listed(job_id):
                raise
        self._bury(job_id)

    def _is_listed(self, job_id: str) -> bool:
        """Whether the broker knows the job; one that was taken out of the storage by hand it still knows."""
        with contextlib.suppress(BrokerUnavailable):
            return self.live.is_listed(job_id)
        return False

    def withdraw(self, job_id: str) -> None:
        """Makes sure that a refused upload is no job, whatever the storage took of it."""
        self._bury(job_id)

    def _bury(self, job_id: str) -> None:
        tombstone = Tombstone(id=job_id, deleted_at=datetime.now(UTC)).model_dump_json().encode()
        try:
            storage.create(self.store, storage.tombstone_key(job_id), tombstone)
        except StorageFull:  # what is deleted makes the room for the note that it was
            storage.remove_all(self.store, storage.attempts_prefix(job_id))
            storage.remove_all(self.store, storage.ledger_prefix(job_id))
            storage.remove(self.store, storage.input_key(job_id))
            storage.create(self.store, storage.tombstone_key(job_id), tombstone)
        # No record, no job: readers agree from here on, and nobody writes a record twice.
        with contextlib.suppress(FileRefused):  # it goes with its folder, or that is refused too
            storage.remove(self.store, storage.record_key(job_id))
        with contextlib.suppress(BrokerUnavailable):  # whoever takes the ticket finds no record
            if job_id not in self.tickets.leased():
                self.tickets.remove(job_id)
        self._clear(job_id)

    @contextlib.contextmanager
    def unless_deleted(self, job_id: str) -> Iterator[None]:
        """Around what writes into a job's folder: nothing stays of what was written into that of a job that
        was deleted meanwhile, and JobDeleted is raised, whatever else went wrong for that reason."""
        try:
            yield
        finally:
            # The tombstone decides, not the lack of a record: a folder that is not mounted has neither.
            if self._is_deleted(job_id):
                self._clear(job_id)
                raise self._absence(job_id)

    def _is_deleted(self, job_id: str) -> bool:
        return storage.exists(self.store, storage.tombstone_key(job_id))

    def _clear(self, job_id: str) -> None:
        """Removes everything of a deleted job but its tombstone."""
        storage.remove_all(self.store, storage.job_prefix(job_id))
        with contextlib.suppress(BrokerUnavailable):  # a list that shows it will notice
            self.live.forget(job_id)

    # ---- what workers do --------------------------------------------------------------------------

    def begin(self, job_id: str, execution_id: str, worker: str) -> Attempt:
        """Notes an attempt durably, before any work.

        Raises JobDeleted, StorageFull or StorageUnavailable; then none was made.
        """
        with self.unless_deleted(job_id):
            attempt = self.attempts.begin(job_id, execution_id, worker)
            state = LiveState(status=JobStatus.RUNNING, attempt=attempt.number, started_at=attempt.started_at)
            self.report(job_id, state)
        return attempt

    def can_be_worked_on(self, job_id: str) -> bool:
        """Whether the storage gives a job's input and takes what is written. Raises StorageUnavailable."""
        storage.probe(self.store)
        # One that is not there was deleted, which whoever takes the job will see.
        with storage.storage_errors(), contextlib.suppress(NotFoundError, FileNotFoundError):
            obstore.get_range(self.store, storage.input_key(job_id), start=0, length=1)
        return True

    def report(self, job_id: str, state: LiveState) -> None:
        """Shows live state; a broker that is away costs the display, never the job."""
        with contextlib.suppress(BrokerUnavailable):
            self.live.put_state(job_id, state)

    def finish(self, job_id: str, end: JobEnd) -> JobEnd:
        """Ends a job, unless it has ended: the first end stands. Returns the one that stands.

        What other attempts wrote goes now, and no earlier: one that was thought dead may still win.
        """
        standing = end
        with contextlib.suppress(JobDeleted), self.unless_deleted(job_id):
            created = storage.create(self.store, storage.end_key(job_id), end.model_dump_json().encode())
            if created:
                self._count(end)
            standing = end if created else self.end_of(job_id) or end
            self.report(job_id, LiveState(status=standing.status, attempt=standing.attempt))
            with contextlib.suppress(StorageUnavailable):  # the end stands; what is left only takes room
                self.clear_leftovers(job_id, standing)
        return standing

    def stop(self, job_id: str, execution_id: str, end: JobEnd) -> None:
        """Ends a job whose attempt was stopped, and is so dead that it cannot win any more."""
        try:
            self.finish(job_id, end)
        except StorageFull:  # what it wrote makes the room for the note that it was stopped
            if not self._has_ended(job_id):
                self.attempts.clear(job_id, execution_id)
                self.finish(job_id, end)

    def clear_leftovers(self, job_id: str, end: JobEnd) -> None:
        """Removes what attempts wrote that did not make the job's end, and what they left for each other."""
        self.attempts.clear_all_but(job_id, end.execution_id)

    def _count(self, end: JobEnd) -> None:
        self.tally.add(Event.JOB_ENDED, end.status.value)
        if end.error is not None:
            self.tally.add(Event.JOB_FAILED, end.error.type.removeprefix(PROBLEM_PREFIX))

    def lost(self, job_id: str, execution_id: str) -> None:
        """After an attempt that died: queues the next one, or fails the job where that is of no use."""
        if not self._has_ended(job_id):
            try:
                self.resume(job_id, execution_id)
            finally:  # that may take long, and nobody is to take the job for lost meanwhile
                self.attempts.clear(job_id, execution_id)

    def resume(self, job_id: str, dead: str = "") -> None:
        """Queues a job that has no end and no worker, or none but the `dead` execution; ends it if that is
        due instead."""
        made = self.attempts.count(job_id)
        if self.wants_cancel(job_id):
            self.finish(job_id, self.cancelled_end(made))
        elif self.tickets.other_lease(job_id, dead):  # a worker has it after all
            return
        elif (fruitless := self.attempts.fruitless(job_id)) >= MAX_ATTEMPTS:
            self.finish(job_id, self.failed_end(JobLost(made, fruitless), made))
        else:
            with contextlib.suppress(JobDeleted), self.unless_deleted(job_id):
                self.report(job_id, LiveState(status=JobStatus.QUEUED, attempt=made + 1))
                self.tickets.put(job_id)
                self.tally.add(Event.JOB_REQUEUED)

    def give_back(self, job_id: str, execution_id: str) -> None:
        """Queues a job again as if this attempt had not been."""
        if not self._has_ended(job_id):
            self.attempts.forget(job_id, execution_id)
            self.resume(job_id, execution_id)

    def _has_ended(self, job_id: str) -> bool:
        """Whether the job has an end after all, as of an attempt whose work was done when it was stopped;
        then this finishes what it left undone."""
        end = self.end_of(job_id)
        if end is not None:
            self.finish(job_id, end)
        return end is not None

    @staticmethod
    def cancelled_end(attempt: int, started_at: datetime | None = None) -> JobEnd:
        return JobEnd(
            status=JobStatus.CANCELLED,
            attempt=attempt,
            execution_id=None,
            started_at=started_at,
            finished_at=datetime.now(UTC),
        )

    @staticmethod
    def failed_end(error: EmserveError, attempt: int, started_at: datetime | None = None) -> JobEnd:
        return JobEnd(
            status=JobStatus.FAILED,
            attempt=attempt,
            execution_id=None,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            error=Problem.of(error),
        )


def _parsed(kind: type[Stored], job_id: str, value: bytes) -> Stored:
    try:
        if Versioned.model_validate_json(value).schema_version > SCHEMA_VERSION:
            raise RecordTooNew(job_id)  # what looks the same may mean something else
        return kind.model_validate_json(value)
    except ValidationError as error:
        raise RecordUnreadable(job_id) from error


def _shown(record: JobRecord, status: JobStatus, attempt: int) -> Job:
    return Job(
        id=record.id,
        status=status,
        attempt=attempt,
        model=record.model,
        params=record.params,
        tags=record.tags,
        warnings=record.warnings,
        input=record.input,
        created_at=record.created_at,
    )
