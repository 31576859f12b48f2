"""Deleting and cancelling at any moment, while real workers work: what is left is one thing or the other."""

import random
import time
from pathlib import Path

import pytest

from emserve import storage
from emserve.errors import JobDeleted
from emserve.jobs import JobStatus
from emserve.live import Filter
from tests.integration.workshop import Worker, Workshop, eventually
from tests.pictures import large_image
from workers.images.label_map import open_labels

_ROUNDS = 6


def _nothing_is_left(workshop: Workshop, job_id: str) -> bool:
    """Neither files nor anything in the broker."""
    folder = workshop.data_dir / "store" / storage.job_prefix(job_id)
    is_held = job_id in workshop.book.tickets.leased() or job_id in workshop.book.tickets.waiting()
    return not folder.exists() and not is_held and workshop.book.live.state(job_id) is None


def _names(attempts: Path) -> list[str]:
    return [path.name for path in attempts.rglob("*") if path.is_file()]


def _assert_deleted(workshop: Workshop, job_id: str) -> None:
    eventually(lambda: _nothing_is_left(workshop, job_id), "a clean store")
    with pytest.raises(JobDeleted):
        workshop.book.read(job_id)
    assert job_id not in [job.id for job in workshop.book.page(Filter(), None, 100).jobs]


def test_a_deleted_running_job_is_off_the_device_within_two_seconds(
    workshop: Workshop, worker: Worker
) -> None:
    long = workshop.submit(large_image(4096))
    workshop.runs(long)
    child = worker.child

    asked = time.monotonic()
    workshop.book.delete(long)
    eventually(lambda: not child.is_running(), "the child's end", 5)
    took = time.monotonic() - asked

    assert took < 2
    _assert_deleted(workshop, long)


def test_jobs_that_are_deleted_at_any_moment_leave_nothing(workshop: Workshop, worker: Worker) -> None:
    chance = random.Random(1)
    small = large_image(256)
    job_ids = []
    for _ in range(_ROUNDS):
        job_ids.append(workshop.submit(small))
        time.sleep(chance.uniform(0, 0.7))
        workshop.book.delete(job_ids[-1])
    workshop.succeeded(workshop.submit(small))
    for job_id in job_ids:
        _assert_deleted(workshop, job_id)
    assert worker.running.is_alive
    assert list((workshop.data_dir / "scratch").iterdir()) == []


def test_jobs_that_are_cancelled_near_their_end_have_one_end_and_its_result(
    workshop: Workshop, worker: Worker
) -> None:
    chance = random.Random(2)
    small = large_image(256)
    for _ in range(_ROUNDS):
        job_id = workshop.submit(small)
        attempts = workshop.data_dir / "store" / storage.attempts_prefix(job_id)
        # Objects are the last but one that a child writes.
        eventually(lambda: list(attempts.glob("*/labels.zarr")), "labels")  # noqa: B023 - used at once
        time.sleep(chance.uniform(0, 0.02))
        workshop.book.cancel(job_id)
        job = workshop.ended(job_id)
        end = workshop.book.end_of(job_id)

        assert end is not None
        if job.status is JobStatus.SUCCEEDED:
            assert end.execution_id is not None
            labels = open_labels(workshop.book.store, storage.labels_prefix(job_id, end.execution_id))
            assert labels.region(0, 256, 0, 256).any()
        else:
            assert job.status is JobStatus.CANCELLED
            note = ["attempt.json"]
            eventually(lambda: _names(attempts) == note, "a clean attempt")  # noqa: B023 - used at once
        assert workshop.book.read(job_id) == job
    assert worker.running.is_alive
