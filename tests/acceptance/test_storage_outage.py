"""The storage of a running service goes away, as a network folder does, and comes back."""

import time
from collections.abc import Iterator

import pytest

from tests.acceptance.exchange import accepted, ended, post, refused
from tests.pictures import large_image, tiff
from tests.running_service import RunningService, running_service

_PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def shaken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("shaken") / "data") as running:
        yield running


def test_a_job_that_loses_the_storage_begins_again_once_it_is_back(shaken: RunningService) -> None:
    jobs = shaken.data_dir / "store" / "jobs"
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with shaken.client() as http:
        job = accepted(post(http, tiff(large_image(1024), compression="zlib")))
        path = f"/v1/jobs/{job['id']}"
        while http.get(path).json()["stage"] != "infer" and time.monotonic() < deadline:
            time.sleep(0.02)
        child = shaken.child().pid
        jobs.rename(jobs.with_name("away"))
        jobs.write_bytes(b"a file where a folder should be")
        try:
            while "the storage went away" not in shaken.log.read_text() and time.monotonic() < deadline:
                time.sleep(0.1)
            refused(http.get(path), 503, "storage-unavailable")
        finally:
            jobs.unlink()
            jobs.with_name("away").rename(jobs)
        job = ended(http, http.get(path).json())
        assert (job["status"], job["attempt"], shaken.child().pid) == ("succeeded", 2, child), job
        assert http.delete(path).status_code == 204
        assert list(jobs.parent.glob("jobs/*")) == []
