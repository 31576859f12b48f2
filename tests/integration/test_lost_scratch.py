"""The folder that jobs work in goes away: no job is blamed for it, and none is tried without end."""

import contextlib
from collections.abc import Iterator

from emserve.jobs import JobStatus
from tests.integration.workshop import Worker, Workshop, eventually, is_gone
from tests.pictures import large_image


@contextlib.contextmanager
def _scratch_lost(vacant: Workshop) -> Iterator[None]:
    """Meanwhile the folder is a link that leads nowhere, as to a disk that is not mounted."""
    scratch, aside = vacant.data_dir / "scratch", vacant.data_dir / "aside"
    scratch.rename(aside)
    scratch.symlink_to(vacant.data_dir / "nowhere")
    try:
        yield
    finally:
        scratch.unlink()
        aside.rename(scratch)


def _goes(worker: Worker) -> None:
    eventually(lambda: is_gone(worker.process) or not worker.running.is_alive, "the worker's end")
    assert "in which jobs keep what they need" in worker.log


def test_a_job_waits_for_a_scratch_folder_that_went_away(vacant: Workshop) -> None:
    with vacant.worker() as worker:
        running = vacant.submit(large_image(2048))
        vacant.runs(running)
        with _scratch_lost(vacant):
            waiting = vacant.submit(large_image(256))
            _goes(worker)
            assert vacant.book.tickets.count() == 2
            assert vacant.attempt_folders(waiting) == []
            for job_id in (running, waiting):
                assert vacant.book.read(job_id).status is JobStatus.QUEUED
    with vacant.worker():
        assert vacant.succeeded(waiting).attempt == 1
        assert vacant.succeeded(running).attempt == 2
