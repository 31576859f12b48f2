"""Cancelling: a running job's process is gone within two seconds, a queued job never starts."""

import time

from emserve import storage
from emserve.jobs import JobStatus
from tests.integration.workshop import Worker, Workshop, eventually
from tests.pictures import large_image


def test_a_cancelled_job_is_gone_within_two_seconds_and_the_next_one_runs(
    workshop: Workshop, worker: Worker
) -> None:
    long, short = workshop.submit(large_image(4096)), workshop.submit(large_image(256))
    workshop.runs(long)
    child = worker.child

    asked = time.monotonic()
    job, changed = workshop.book.cancel(long)
    eventually(lambda: not child.is_running(), "the child's end", 5)
    took = time.monotonic() - asked

    assert changed
    assert job.status is JobStatus.CANCELLING
    assert took < 2
    ended = workshop.ended(long)
    assert ended.status is JobStatus.CANCELLED
    assert ended.finished_at is not None
    workshop.succeeded(short)
    assert [path.name for path in workshop.attempt_folders(long)[0].rglob("*")] == ["attempt.json"]


def test_a_queued_job_is_cancelled_at_once_and_never_starts(workshop: Workshop, worker: Worker) -> None:
    image = large_image(256)
    with worker.paused():
        _, queued, last = (workshop.submit(image) for _ in range(3))

        job, changed = workshop.book.cancel(queued)

        assert changed
        assert job.status is JobStatus.CANCELLED
        assert queued not in workshop.book.tickets.waiting()
        assert workshop.book.read(last).queue is not None
    workshop.succeeded(last)
    assert workshop.book.attempts.count(queued) == 0
    assert worker.running.is_alive


def test_cancelling_twice_or_after_the_end_changes_nothing(workshop: Workshop, worker: Worker) -> None:
    job_id = workshop.submit(large_image(256))
    before = workshop.succeeded(job_id)

    job, changed = workshop.book.cancel(job_id)

    assert not changed
    assert job == before
    assert worker.running.is_alive


def test_a_ticket_of_a_cancelled_job_that_is_still_queued_is_not_worked_on(
    workshop: Workshop, worker: Worker
) -> None:
    image = large_image(256)
    with worker.paused():
        first, doomed, last = (workshop.submit(image) for _ in range(3))
        # As when the broker was away from the one who cancelled: the wish is in the store alone.
        storage.create(workshop.book.store, storage.cancel_key(doomed), b"{}")
    workshop.succeeded(first)

    assert workshop.ended(doomed).status is JobStatus.CANCELLED
    assert workshop.book.attempts.count(doomed) == 0
    workshop.succeeded(last)
    assert worker.running.is_alive
