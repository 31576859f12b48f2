"""A job book without workers: what they would do is done by hand, step by step."""

import time
from datetime import UTC, datetime

import obstore
from redis import Redis

from emserve import storage
from emserve.book import JobBook
from emserve.jobs import JobEnd, JobStatus
from tests.integration.workshop import record_of


def accept(book: JobBook, **changes: object) -> str:
    """A job that waits; its id."""
    return book.accept(record_of(**changes)).id  # type: ignore[arg-type]  # fields of a record, as named


def end_of(execution_id: str | None, status: JobStatus = JobStatus.SUCCEEDED) -> JobEnd:
    return JobEnd(
        status=status, attempt=1, execution_id=execution_id, started_at=None, finished_at=datetime.now(UTC)
    )


def lease(redis: Redis, job_id: str, clock_ahead_seconds: float = 0) -> None:
    """As a worker does that has taken the job, or renews its lease."""
    redis.lrem("rq:queue:emserve", 0, job_id)
    redis.zadd("rq:wip:emserve", {f"{job_id}:execution": time.time() + clock_ahead_seconds + 8})


def write(book: JobBook, job_id: str, execution_id: str) -> str:
    """A piece of a result; its key."""
    key = storage.labels_prefix(job_id, execution_id) + "/0/c/0/0"
    obstore.put(book.store, key, b"chunk")
    return key


def finish_part(book: JobBook, job_id: str, name: str) -> None:
    """As a worker notes what the next attempt need not do again."""
    obstore.put(book.store, f"{storage.ledger_prefix(job_id)}/{name}", b"note")
