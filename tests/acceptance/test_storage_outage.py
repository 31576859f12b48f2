"""The storage of a running service goes away, as a network folder does, and comes back."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.acceptance.exchange import ended, inferred, refused
from tests.pictures import large_image, tiff
from tests.running_service import RunningService, running_service

_PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("shaken") / "data") as running:
        yield running


@contextmanager
def _away(jobs: Path) -> Iterator[None]:
    """Meanwhile no job can be read, nor written."""
    jobs.rename(jobs.with_name("away"))
    jobs.write_bytes(b"a file where a folder should be")
    try:
        yield
    finally:
        jobs.unlink()
        jobs.with_name("away").rename(jobs)


def test_a_job_that_loses_the_storage_begins_again_once_it_is_back(shaken: RunningService) -> None:
    jobs = shaken.data_dir / "store" / "jobs"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with shaken.client() as http:
        job = inferred(http, tiff(large_image(1024), compression="zlib"))
        path = f"/v1/jobs/{job['id']}"
        child = shaken.child().pid
        with _away(jobs):
            while "storage or scratch folder went away" not in shaken.log.read_text():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            refused(http.get(path), 503, "storage-unavailable")
        job = ended(http, http.get(path).json())
        assert (job["status"], job["attempt"], shaken.child().pid) == ("succeeded", 2, child), job
        assert http.delete(path).status_code == 204
        assert list(jobs.parent.glob("jobs/*")) == []


def test_an_upload_that_loses_the_storage_is_refused_and_taken_back(
    shaken: RunningService, cell: bytes
) -> None:
    jobs = shaken.data_dir / "store" / "jobs"
    jobs.mkdir(exist_ok=True)
    away = ExitStack()

    def cut_off() -> Iterator[bytes]:
        yield cell[:1000]
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not list(jobs.iterdir()) and time.monotonic() < deadline:
            time.sleep(0.02)
        away.enter_context(_away(jobs))
        yield cell[1000:]

    with shaken.client() as http, away:
        refused(http.post("/v1/jobs?model=mitonet", content=cut_off()), 503, "storage-unavailable", "again")
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while list(jobs.parent.glob("jobs/*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert list(jobs.parent.glob("jobs/*")) == []
    with shaken.client() as http:
        assert http.get("/v1/jobs").json()["jobs"] == []
