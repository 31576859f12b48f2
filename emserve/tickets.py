"""The queue of tickets: an RQ job per attempt that names a job of ours and carries nothing else.

RQ's started registry is the only lease. The reconciler drops entries that their worker does not renew.
"""

import contextlib
import time
from collections.abc import Iterator

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job as Ticket
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import as_text

from emserve.errors import BrokerFull, BrokerUnavailable

QUEUE = "emserve"
LEASE_SECONDS = 8
TASK = "workers.tasks.segment"
"""The only task that a worker accepts from the queue."""


def connect(url: str) -> Redis:
    """A client of the broker; connects at the first command."""
    # A broker that hangs must not hold its callers for ever; RQ itself waits 5 s for a ticket.
    return Redis.from_url(url, socket_connect_timeout=5, socket_timeout=15, health_check_interval=30)


@contextlib.contextmanager
def broker_errors() -> Iterator[None]:
    """Translates the broker's faults."""
    try:
        yield
    except RedisError as error:
        if "MISCONF" in str(error):  # its append-only file cannot be written
            raise BrokerFull(
                "The job queue cannot write what it is told, most likely for want of room on its disk. Jobs "
                "already accepted are safe; try again once the operator has made room."
            ) from error
        reason = "no connection" if isinstance(error, RedisConnectionError) else type(error).__name__
        raise BrokerUnavailable(
            f"The job queue cannot be reached ({reason}). Jobs already accepted are safe; try again soon."
        ) from error


def job_of(lease: str) -> str:
    """The id of the job that a lease is of."""
    return lease.rpartition(":")[0]


class TicketQueue:
    """Who waits, and who is being worked on."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.queue = Queue(QUEUE, connection=redis, serializer=JSONSerializer)
        self._started = StartedJobRegistry(queue=self.queue)

    def put(self, job_id: str) -> None:
        """Queues the next attempt at a job."""
        with broker_errors():
            # Our own supervisor keeps the time limit; RQ forgets a ticket as soon as it is done.
            self.queue.enqueue_call(TASK, args=(job_id,), job_id=job_id, timeout=-1, result_ttl=0)

    def remove(self, job_id: str) -> None:
        """Takes a job's ticket out of the queue, and what a worker that died left of it."""
        with broker_errors():
            self.queue.remove(job_id)
            self._redis.lrem(self.queue.intermediate_queue_key, 0, job_id)
            self._redis.delete(Ticket.key_for(job_id))

    def waiting(self) -> list[str]:
        """Ids of queued jobs, the next one first."""
        with broker_errors():
            return list(self.queue.get_job_ids())

    def count(self) -> int:
        """How many jobs wait."""
        with broker_errors():
            return self.queue.count

    def position(self, job_id: str) -> int | None:
        """How many jobs are ahead of a queued one."""
        with broker_errors():
            return self.queue.get_job_position(job_id)

    def leased(self) -> set[str]:
        """Ids of the jobs that a worker holds, as far as anybody knows."""
        return {job_of(lease) for lease in self.leases()}

    def other_lease(self, job_id: str, execution_id: str) -> bool:
        """Whether another execution than this one holds the job."""
        mine = f"{job_id}:{execution_id}"
        return any(lease != mine and job_of(lease) == job_id for lease in self.leases())

    def leases(self) -> dict[str, float]:
        """Entries of the started registry, each `job:execution`, with a number that each renewal changes: the
        time at which the lease runs out, by its worker's clock."""
        with broker_errors():
            members = self._redis.zrange(self._started.key, 0, -1, withscores=True)
        return {str(as_text(each[0])): float(each[1]) for each in members}  # type: ignore[arg-type]  # bytes

    def renew(self, job_id: str, execution_id: str) -> None:
        """Renews a lease, also one that the broker has forgotten."""
        with broker_errors():
            self._redis.zadd(self._started.key, {f"{job_id}:{execution_id}": time.time() + LEASE_SECONDS})

    def drop_lease(self, lease: str) -> bool:
        """Drops a lease that ran out; whether it was there."""
        with broker_errors():
            return bool(self._redis.zrem(self._started.key, lease))

    def lease_age(self) -> float:
        """Seconds since the least recently renewed lease was renewed; 0 when nobody holds one."""
        ends = self.leases().values()
        return max((time.time() + LEASE_SECONDS - end for end in ends), default=0.0)
