"""A full disk is told as what it is, loses nothing accepted, and needs no restart when room returns."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.acceptance.exchange import accepted, ended, post, run
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


def test_an_upload_that_does_not_fit_is_refused_and_leaves_nothing(
    http: httpx.Client, cramped: RunningService
) -> None:
    before = _jobs(cramped)
    noise = np.random.default_rng(0).integers(0, 255, (6000, 6000), dtype=np.uint8)
    response = post(http, tiff(noise))
    assert response.status_code == 507
    problem = response.json()
    assert problem["type"] == "urn:emserve:problem:storage-full"
    assert "EMSERVE_DATA_DIR" in problem["detail"]
    assert _jobs(cramped) == before
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
    free = shutil.disk_usage(cramped.data_dir).free
    filler = cramped.data_dir / "filler"
    filler.write_bytes(b"\0" * (free - _KEPT // 2))
    try:
        refusal = post(http, tiff(phantom().image))
        readiness = http.get("/readyz")
        read = http.get(f"/v1/jobs/{done['id']}/labels?format=npy")
    finally:
        filler.unlink()

    assert (refusal.status_code, refusal.json()["type"]) == (507, "urn:emserve:problem:storage-full")
    assert "EMSERVE_MIN_FREE_BYTES" in refusal.json()["detail"]
    assert readiness.status_code == 503
    assert [each["pointer"] for each in readiness.json()["errors"]] == ["/disk"]
    assert read.status_code == 200, "what fits is still served"
    assert http.get("/readyz").status_code == 200
