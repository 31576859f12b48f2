"""Results that take long to render, or whose folder is held: only who wants them waits."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.acceptance.exchange import refused
from tests.integration.api_calls import submit, succeeded
from tests.integration.workshop import PATIENCE_SECONDS, eventually
from tests.pictures import phantom
from tests.running_service import RunningService, another_api

_QUICK_SECONDS = 15  # of what waits for nobody, on a busy machine
_LEAVERS = 20
_ROUTE = "/v1/jobs/{job_id}/labels"
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
def _stuck_rendering(api: psutil.Process, http: httpx.Client, job_id: str) -> Iterator[None]:
    """While an image process stands still in the midst of a rendering."""
    assert http.get(f"/v1/jobs/{job_id}/labels", params={"format": "npy"}).status_code == 200
    first, *others = _image_processes(api)
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


def _image_processes(api: psutil.Process) -> list[psutil.Process]:
    return [each for each in api.children() if "workers.images" in each.cmdline()]


def _rows(job_id: str, first: int) -> str:
    return f"/v1/jobs/{job_id}/labels?format=npy&y0={first}&y1={first + 10}"


def test_uploads_and_what_was_rendered_before_do_not_wait_behind_renderings(
    service: RunningService, http: httpx.Client, job_id: str
) -> None:
    def region(first_row: int) -> int:
        return http.get(_rows(job_id, first_row), timeout=90).status_code

    with ThreadPoolExecutor(_REGIONS) as threads:
        with _stuck_rendering(service.part("api"), http, job_id):
            regions = [threads.submit(region, row) for row in range(_REGIONS)]
            time.sleep(2)
            http.timeout = httpx.Timeout(_QUICK_SECONDS)
            again = http.get(f"/v1/jobs/{job_id}/labels", params={"format": "npy"})
            other = submit(http, phantom(side=64).image)
            assert not any(each.done() for each in regions)
        assert again.status_code == 200
        assert {each.result() for each in regions} == {200}
    succeeded(http, other)


def _given_up(http: httpx.Client) -> float:
    """How many requests for labels ended because their callers had left."""
    for family in text_string_to_metric_families(http.get("/metrics").text):
        for sample in family.samples:
            if sample.labels.get("route") == _ROUTE and sample.labels.get("status") == "400":
                return sample.value
    return 0


def test_who_leaves_before_a_rendering_begins_costs_none(
    service: RunningService, http: httpx.Client, job_id: str
) -> None:
    address = httpx.URL(service.url)
    with _stuck_rendering(service.part("api"), http, job_id):
        before = _given_up(http)
        for row in range(_LEAVERS):
            with socket.create_connection((address.host, address.port)) as viewer:
                viewer.sendall(f"GET {_rows(job_id, row)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                time.sleep(0.1)  # for its turn to be waited for
        eventually(lambda: _given_up(http) == before + _LEAVERS, "the end of what nobody wants")
    assert http.get(_rows(job_id, 1)).status_code == 200


def test_of_renderings_only_so_many_wait(service: RunningService, job_id: str) -> None:
    path = f"/v1/jobs/{job_id}/labels"
    with another_api(service, EMSERVE_MAX_RENDERINGS="2") as api, api.client() as http:
        assert http.get("/livez", timeout=PATIENCE_SECONDS).status_code == 200
        with ThreadPoolExecutor(1) as threads:
            with _stuck_rendering(api.process, http, job_id):
                second = threads.submit(http.get, _rows(job_id, 1), timeout=90)
                time.sleep(1)
                for wanted in (_rows(job_id, 2), f"{path}?format=ome-tiff"):
                    problem = refused(http.get(wanted), 503, "too-many-renderings", "EMSERVE_MAX_RENDERINGS")
                    assert (problem["limit"], problem["kind"]) == (2, "system")
                assert http.get(path, params={"format": "npy"}).status_code == 200, "it is there"
                assert not second.done()
            assert second.result().status_code == 200
        assert http.get(_rows(job_id, 2)).status_code == 200


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
