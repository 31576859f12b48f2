"""A worker that is killed or told to stop in mid-run."""

import os
import time

import pytest

from emserve import storage
from emserve.jobs import Attempt, JobStatus
from emserve.reconciler import Reconciler
from tests.integration.workshop import Workshop, eventually, is_gone
from tests.pictures import large_image

_LONG = large_image(2048)


@pytest.fixture(scope="module")
def workshop(vacant: Workshop) -> Workshop:
    """Nobody takes a job here but whom a test hires."""
    return vacant


def test_the_job_of_a_killed_worker_is_resumed_by_another_and_ends_once(workshop: Workshop) -> None:
    with workshop.worker() as one, workshop.worker() as other:
        job_id = workshop.submit(_LONG)
        workshop.runs(job_id)
        first, second = one, other
        if _worker_of(workshop, job_id, attempt=1) != one.name:
            first, second = other, one
        child = first.child
        os.kill(first.running.pid, 9)
        killed = time.monotonic()
        eventually(lambda: is_gone(child), "the orphan's end", 2)

        reconciler = Reconciler(workshop.book)
        eventually(lambda: job_id in _pass(reconciler), "the resumption")
        job = workshop.runs(job_id, attempt=2)
        waited = time.monotonic() - killed
        end_key = workshop.data_dir / "store" / storage.end_key(job_id)
        assert not end_key.exists()
        ended = workshop.succeeded(job_id)

        assert waited < 15
        assert ended.attempt == 2
        assert job.started_at is not None
        assert _worker_of(workshop, job_id, attempt=2) == second.name
        written = end_key.stat().st_mtime_ns
        for _ in range(3):
            reconciler.run_once()
        assert end_key.stat().st_mtime_ns == written
        assert workshop.book.tickets.waiting() == []


def _pass(reconciler: Reconciler) -> list[str]:
    time.sleep(0.3)
    return reconciler.run_once()


def _worker_of(workshop: Workshop, job_id: str, attempt: int) -> str:
    folders = workshop.attempt_folders(job_id)
    notes = [Attempt.model_validate_json((each / "attempt.json").read_bytes()) for each in folders]
    return next(note.worker for note in notes if note.number == attempt)


def test_a_worker_told_to_stop_gives_its_job_back_with_the_same_attempt_number(workshop: Workshop) -> None:
    with workshop.worker(EMSERVE_SHUTDOWN_SECONDS="1") as first:
        job_id = workshop.submit(large_image(4096))
        workshop.runs(job_id)
        first.running.terminate()
        eventually(lambda: not first.running.is_alive, "the worker's end", 20)

        assert workshop.book.tickets.waiting() == [job_id]
        job = workshop.book.read(job_id)
        assert job.status is JobStatus.QUEUED
        assert job.attempt == 1
        assert workshop.book.attempts.count(job_id) == 0
        assert workshop.book.tickets.leased() == set()

    with workshop.worker():
        again = workshop.runs(job_id)
        assert again.attempt == 1
        workshop.book.cancel(job_id)
        workshop.ended(job_id)


def test_a_worker_told_to_stop_finishes_a_job_that_it_can_finish(workshop: Workshop) -> None:
    with workshop.worker(EMSERVE_SHUTDOWN_SECONDS="30") as worker:
        job_id = workshop.submit(large_image(1024))
        workshop.runs(job_id)
        worker.running.terminate()
        eventually(lambda: not worker.running.is_alive, "the worker's end", 40)

        assert workshop.book.read(job_id).status is JobStatus.SUCCEEDED


def test_an_idle_worker_told_to_stop_ends_at_once(workshop: Workshop) -> None:
    with workshop.worker() as worker:
        child = worker.child
        worker.running.terminate()
        eventually(lambda: not worker.running.is_alive, "the worker's end", 10)
        assert is_gone(child)
