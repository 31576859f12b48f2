"""Results that take long to render, or whose folder is held: only who wants them waits."""

import fcntl
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.integration.api_calls import submit, succeeded
from tests.integration.workshop import eventually
from tests.pictures import phantom
from tests.running_service import RunningService

_QUICK_SECONDS = 15  # of what waits for nobody, on a busy machine
_REGIONS = 80  # more than there are threads for renderings


@pytest.fixture
def job_id(http: httpx.Client) -> str:
    """A succeeded job."""
    return succeeded(http, submit(http, phantom(side=256).image)).id


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _stuck_rendering(service: RunningService, http: httpx.Client, job_id: str) -> Iterator[None]:
    """While an image process stands still in the midst of a rendering."""
    assert http.get(f"/v1/jobs/{job_id}/labels", params={"format": "npy"}).status_code == 200
    first, *others = _image_processes(service)
    for each in others:  # or the one that stands still might not be the one that is taken
        each.kill()
    first.suspend()
    try:
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(
                http.get, f"/v1/jobs/{job_id}/labels", params={"format": "tiff"}, timeout=90
            )
            time.sleep(1)
            assert not slow.done()
            try:
                yield
            finally:
                first.resume()
            assert slow.result().status_code == 200
    finally:
        first.resume()


def _image_processes(service: RunningService) -> list[psutil.Process]:
    return [each for each in service.part("api").children() if "workers.images" in each.cmdline()]


def _rows(job_id: str, first: int) -> str:
    return f"/v1/jobs/{job_id}/labels?format=npy&y0={first}&y1={first + 10}"


def test_uploads_and_what_was_rendered_before_do_not_wait_behind_renderings(
    service: RunningService, http: httpx.Client, job_id: str
) -> None:
    def region(first_row: int) -> int:
        return http.get(_rows(job_id, first_row), timeout=90).status_code

    with ThreadPoolExecutor(_REGIONS) as threads:
        with _stuck_rendering(service, http, job_id):
            regions = [threads.submit(region, row) for row in range(_REGIONS)]
            time.sleep(2)
            http.timeout = httpx.Timeout(_QUICK_SECONDS)
            again = http.get(f"/v1/jobs/{job_id}/labels", params={"format": "npy"})
            other = submit(http, phantom(side=64).image)
            assert not any(each.done() for each in regions)
        assert again.status_code == 200
        assert {each.result() for each in regions} == {200}
    succeeded(http, other)


def test_the_api_answers_others_while_a_region_waits_for_its_folder(
    service: RunningService, http: httpx.Client, job_id: str
) -> None:
    with ThreadPoolExecutor(1) as threads:
        with _held(service.data_dir / "scratch"):
            region = threads.submit(http.get, _rows(job_id, 0), timeout=90)
            time.sleep(1)
            assert http.get("/livez", timeout=_QUICK_SECONDS).status_code == 200
            assert not region.done()
        assert region.result().status_code == 200
    eventually(lambda: not list((service.data_dir / "scratch").glob("part-*")), "the folder's end")
