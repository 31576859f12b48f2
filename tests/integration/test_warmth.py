"""What stays from job to job, and what must not."""

import sys
from pathlib import Path

import pytest

from emserve.fleet import Fleet
from tests.integration.workshop import Worker, Workshop, eventually
from tests.pictures import large_image


def test_the_model_stays_warm_in_the_same_child(workshop: Workshop, worker: Worker) -> None:
    child = worker.child
    first = workshop.succeeded(workshop.submit(large_image(256)))
    second = workshop.succeeded(workshop.submit(large_image(256)))

    assert worker.child == child
    assert first.result is not None
    assert second.result is not None
    assert first.result.objects == second.result.objects
    fleet = Fleet(workshop.book.tickets.queue.connection)
    (entry,) = [one for one in fleet.workers() if one.name == worker.name]
    assert entry.loaded == ["mitonet@starter"]
    assert entry.residents[0].bytes > 1_000_000
    assert entry.residents[0].load_seconds > 0


def test_a_busy_worker_says_what_it_works_on(workshop: Workshop, worker: Worker) -> None:
    fleet = Fleet(workshop.book.tickets.queue.connection)

    def works_on() -> str | None:
        return next((one.job_id for one in fleet.workers() if one.name == worker.name), None)

    job_id = workshop.submit(large_image(1024))
    eventually(lambda: works_on() == job_id, "the worker's entry")
    workshop.succeeded(job_id)
    eventually(lambda: works_on() is None, "the worker's rest")


def test_the_scratch_folder_is_empty_after_jobs_however_they_ended(
    workshop: Workshop, worker: Worker
) -> None:
    good, killed, cancelled = (workshop.submit(large_image(side)) for side in (256, 1024, 4096))
    workshop.succeeded(good)
    workshop.runs(killed)
    worker.child.kill()
    workshop.runs(cancelled)
    workshop.book.cancel(cancelled)
    workshop.ended(cancelled)
    workshop.succeeded(killed)

    eventually(lambda: not list((workshop.data_dir / "scratch").iterdir()), "an empty scratch folder")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_supervisor_holds_no_torch(worker: Worker) -> None:
    def libraries(pid: int) -> str:
        return Path(f"/proc/{pid}/maps").read_text()

    assert "libtorch" not in libraries(worker.running.pid)
    assert "libtorch" in libraries(worker.child.pid)
