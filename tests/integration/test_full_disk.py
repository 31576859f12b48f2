"""A full disk is told as what it is, loses nothing accepted, and needs no restart when room returns."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from emserve.params import Parameters
from emserve.volumes import Room
from tests.acceptance.exchange import accepted, ended, post, run
from tests.integration.workshop import eventually
from tests.pictures import phantom, tiff
from tests.running_service import RunningService, running_service

_ROOM = "24m"
_KEPT = 1024**2


@pytest.fixture(scope="module")
def cramped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose data folder is a file system of 24 MiB."""
    folder = tmp_path_factory.mktemp("cramped")
    mount = ["/bin/mount", "-t", "tmpfs", "-o", f"size={_ROOM}", "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root on Linux")
    try:
        with running_service(folder / "data", settings={"EMSERVE_MIN_FREE_BYTES": str(_KEPT)}) as service:
            yield service
    finally:
        subprocess.run(["/bin/umount", str(folder)], check=True)


@pytest.fixture
def http(cramped: RunningService) -> Iterator[httpx.Client]:
    with cramped.client() as client:
        yield client


def _jobs(service: RunningService) -> set[str]:
    folder: Path = service.data_dir / "store" / "jobs"
    return {each.name for each in folder.glob("*")}


def _free_bytes(service: RunningService) -> int:
    return shutil.disk_usage(service.data_dir).free


@contextlib.contextmanager
def _no_room(service: RunningService) -> Iterator[None]:
    """Meanwhile the file system has not a byte left."""
    file = service.data_dir / "filler"
    with file.open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(4096))
    try:
        yield
    finally:
        file.unlink()


@contextlib.contextmanager
def _little_room(service: RunningService, left_bytes: int) -> Iterator[None]:
    """Meanwhile the file system has about so many bytes left."""
    file = service.data_dir / "filler"
    file.write_bytes(bytes(shutil.disk_usage(service.data_dir).free - left_bytes))
    try:
        yield
    finally:
        file.unlink()


def _assert_full(response: httpx.Response, *slugs: str) -> None:
    assert response.status_code == 507, response.text
    assert response.json()["type"] in {f"urn:emserve:problem:{slug}" for slug in slugs}
    assert response.json()["kind"] == "system"


@pytest.mark.parametrize("announced", [True, False], ids=["length announced", "length unknown"])
def test_an_upload_that_does_not_fit_is_refused_and_leaves_nothing(
    http: httpx.Client, cramped: RunningService, announced: bool
) -> None:
    before, free_before = _jobs(cramped), _free_bytes(cramped)
    noise = tiff(np.random.default_rng(0).integers(0, 255, (6000, 6000), dtype=np.uint8))
    pieces = (noise[begin : begin + 65536] for begin in range(0, len(noise), 65536))
    response = http.post("/v1/jobs?model=mitonet", content=noise if announced else pieces)
    _assert_full(response, "storage-full")
    assert "EMSERVE_DATA_DIR" in response.json()["detail"]
    assert _jobs(cramped) == before
    # The last of it may still be on its way to a file that is gone.
    eventually(lambda: _free_bytes(cramped) > free_before - _KEPT, "the room of a refused upload", 5)
    run(http, tiff(phantom().image))


def test_a_result_that_does_not_fit_is_there_once_it_fits(
    http: httpx.Client, cramped: RunningService
) -> None:
    labels = run(http, tiff(phantom().image))["links"]["labels"]
    with _no_room(cramped):
        _assert_full(http.get(labels), "storage-full")
    assert http.get(labels).status_code == 200


def test_a_job_can_be_deleted_from_a_full_disk_and_makes_room(
    http: httpx.Client, cramped: RunningService
) -> None:
    job = run(http, tiff(phantom().image))
    with _no_room(cramped):
        assert http.delete(job["links"]["self"]).status_code == 204
        assert http.get(job["links"]["self"]).status_code == 410
    assert job["id"] not in _jobs(cramped)


def test_a_queued_job_can_be_cancelled_on_a_full_disk(http: httpx.Client, cramped: RunningService) -> None:
    supervisor = cramped.part("worker-cpu-1")
    supervisor.suspend()
    try:
        job = accepted(post(http, tiff(phantom().image)))
        with _no_room(cramped):
            wished = http.post(job["links"]["cancel"])
            assert (wished.status_code, wished.json()["status"]) == (202, "cancelling"), wished.text
    finally:
        supervisor.resume()
    end = ended(http, job)
    assert (end["status"], end["result"]) == ("cancelled", None)
    run(http, tiff(phantom().image))


def test_a_running_job_that_is_cancelled_on_a_full_disk_leaves_the_device(
    http: httpx.Client, cramped: RunningService
) -> None:
    child = cramped.child()
    child.suspend()
    job = accepted(post(http, tiff(phantom().image)))
    eventually(lambda: http.get(job["links"]["self"]).json()["status"] == "running", "the job's begin")
    with _no_room(cramped):
        wished = http.post(job["links"]["cancel"])
        assert (wished.status_code, wished.json()["status"]) == (202, "cancelling"), wished.text
        eventually(lambda: not child.is_running(), "the end of its process", 2)
    assert ended(http, job)["status"] == "cancelled"
    run(http, tiff(phantom().image))


def test_what_was_accepted_waits_for_room_and_costs_no_attempt(
    http: httpx.Client, cramped: RunningService
) -> None:
    supervisor = cramped.part("worker-cpu-1")
    supervisor.suspend()
    try:
        jobs = [accepted(post(http, tiff(phantom().image))) for _ in range(2)]
        with _no_room(cramped):
            supervisor.resume()
            # Longer than a lease and the reconciler's look, so that a job that lost its worker shows.
            for _ in range(4):
                time.sleep(1)
                _assert_full(post(http, tiff(phantom().image)), "storage-full", "broker-full")
                assert http.get("/readyz").status_code == 503
                assert {http.get(job["links"]["self"]).json()["status"] for job in jobs} == {"queued"}
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # a broker that refuses its ticket ends it
            supervisor.resume()
    for job in jobs:
        end = ended(http, job)
        assert (end["status"], end["attempt"]) == ("succeeded", 1), end


def test_a_volume_whose_room_went_before_a_worker_took_it_fails_before_it_is_begun(
    http: httpx.Client, cramped: RunningService
) -> None:
    flat = tiff(np.full((16, 256, 256), 90, np.uint8), compression="zlib", photometric="minisblack")
    needed, left = Room.of((16, 256, 256), "uint8", Parameters(mode="stack"), classes=1).scratch, 2 * 1024**2
    assert needed > left
    supervisor = cramped.part("worker-cpu-1")
    supervisor.suspend()
    try:
        job = accepted(post(http, flat))
        with _little_room(cramped, left):
            supervisor.resume()
            end = ended(http, job)
    finally:
        supervisor.resume()
    assert (end["status"], end["error"]["type"]) == ("failed", "urn:emserve:problem:storage-full")
    said = re.search(r"it takes about (\d+) bytes, and the worker has (\d+)", end["error"]["detail"])
    assert said is not None, end["error"]
    assert int(said[1]) == needed
    assert int(said[2]) == pytest.approx(left, rel=0.1)
    assert "made room in EMSERVE_DATA_DIR" in end["error"]["detail"]
    assert (end["attempt"], end["error"]["kind"], end["error"]["given"]) == (1, "system", needed)
    assert not any((cramped.data_dir / "scratch").iterdir())
    run(http, tiff(phantom().image))


@pytest.mark.parametrize("side", [6000, 2600], ids=["decoding", "segmenting"])
def test_a_job_that_does_not_fit_while_it_runs_fails_and_the_next_one_runs(
    http: httpx.Client, side: int
) -> None:
    flat = tiff(np.full((side, side), 90, np.uint8), compression="zlib")
    job = ended(http, accepted(post(http, flat)))
    assert job["status"] == "failed"
    assert job["error"]["type"] == "urn:emserve:problem:storage-full"
    assert job["error"]["kind"] == "system"
    run(http, tiff(phantom().image))


def test_a_disk_that_is_nearly_full_takes_no_upload_and_says_so(
    http: httpx.Client, cramped: RunningService
) -> None:
    done = run(http, tiff(phantom().image))
    with _little_room(cramped, _KEPT // 2):
        refusal = post(http, tiff(phantom().image))
        readiness = http.get("/readyz")
        read = http.get(f"/v1/jobs/{done['id']}/labels?format=npy")

    assert (refusal.status_code, refusal.json()["type"]) == (507, "urn:emserve:problem:storage-full")
    assert "EMSERVE_MIN_FREE_BYTES" in refusal.json()["detail"]
    assert 0 <= refusal.json()["given"] < refusal.json()["limit"]
    assert readiness.status_code == 503
    assert [each["pointer"] for each in readiness.json()["errors"]] == ["/disk"]
    assert read.status_code == 200, "what fits is still served"
    assert http.get("/readyz").status_code == 200
