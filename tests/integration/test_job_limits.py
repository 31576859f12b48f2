"""A job that takes too long or too much memory fails with the reason and is not run again."""

import pytest

from emserve.jobs import Job, JobStatus
from emserve.params import Parameters
from tests.integration.workshop import Workshop, eventually
from tests.pictures import large_image


@pytest.fixture(scope="module")
def workshop(vacant: Workshop) -> Workshop:
    """Nobody takes a job here but whom a test hires."""
    return vacant


def _failed_once(workshop: Workshop, job_id: str) -> Job:
    job = workshop.ended(job_id)
    assert job.status is JobStatus.FAILED
    assert job.attempt == 1
    assert workshop.book.attempts.count(job_id) == 1
    assert job_id not in workshop.book.tickets.waiting()
    # The end stands in storage first; the board follows.
    eventually(lambda: job_id not in workshop.book.live.active(), "the board's knowing")
    return job


def test_a_job_over_its_time_limit_fails_and_the_next_one_runs(workshop: Workshop) -> None:
    with workshop.worker(EMSERVE_JOB_TIMEOUT_SECONDS="3.5") as worker:
        child = worker.child
        long, short = workshop.submit(large_image(4096)), workshop.submit(large_image(256))

        job = _failed_once(workshop, long)

        assert job.error is not None
        assert job.error.type == "urn:emserve:problem:job-timed-out"
        assert job.error.kind == "system"
        assert "3.5 s" in job.error.detail
        assert "EMSERVE_JOB_TIMEOUT_SECONDS" in job.error.detail
        # How it ends is a matter of the machine's speed.
        eventually(lambda: workshop.book.attempts.count(short) == 1, "the next job's start")
        workshop.ended(short)
        assert worker.child.pid != child.pid


def test_a_job_over_its_memory_limit_fails_and_says_which_limit(workshop: Workshop) -> None:
    with workshop.worker(EMSERVE_WORKER_MEMORY_BYTES="1000000000"):
        large = workshop.submit(large_image(4096), Parameters(tile_size=0))
        small = workshop.submit(large_image(256))

        job = _failed_once(workshop, large)

        assert job.error is not None
        assert job.error.type == "urn:emserve:problem:out-of-memory"
        assert "1.0 GB" in job.error.detail
        assert "EMSERVE_WORKER_MEMORY_BYTES" in job.error.detail
        workshop.succeeded(small)
