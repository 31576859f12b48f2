"""Jobs whose storage is a bucket: the same service, and what its users see while the storage hangs."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest

from emserve.errors import StorageUnavailable
from emserve.storage import create, open_store
from tests.acceptance.exchange import ended, inferred, labels_of, level, post, refused, run, zarr_of
from tests.bucket import Bucket, running_bucket
from tests.pictures import large_image, phantom, tiff
from tests.running_service import RunningService, running_service

_LIVE_SECONDS = 2
_READY_SECONDS = 5 + 3
_GIVE_UP_SECONDS = 30 + 5
_MANY = 60


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with running_bucket() as running:
        yield running


@pytest.fixture(scope="module")
def stored(bucket: Bucket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that stores its jobs in the bucket."""
    data_dir = tmp_path_factory.mktemp("s3") / "data"
    with running_service(data_dir, settings=bucket.settings) as running:
        yield running
        assert not (data_dir / "store").exists()


@pytest.fixture(scope="module")
def s3_http(stored: RunningService) -> Iterator[httpx.Client]:
    with stored.client() as client:
        yield client


def test_an_image_gives_the_same_and_leaves_nothing(
    http: httpx.Client, s3_http: httpx.Client, stored: RunningService, bucket: Bucket, cell: bytes
) -> None:
    here, there = run(http, cell), run(s3_http, cell)
    labels = labels_of(s3_http, there)
    assert labels.any()
    assert np.array_equal(labels, labels_of(http, here))
    assert np.array_equal(labels, level(zarr_of(stored, there)))
    for part in ("objects", "objects?format=csv", "preview.png", "provenance", "labels?format=tiff"):
        assert s3_http.get(f"/v1/jobs/{there['id']}/{part}").status_code == 200, part
    assert there["id"] in {each["id"] for each in s3_http.get("/v1/jobs").json()["jobs"]}
    folder = f"jobs/{there['id']}"
    assert bucket.keys(folder)
    assert s3_http.delete(f"/v1/{folder}").status_code == 204
    assert bucket.keys(folder) == []
    refused(s3_http.get(f"/v1/{folder}"), 410, "job-deleted")


def test_a_volume_is_worked_on_and_its_notes_go(s3_http: httpx.Client, bucket: Bucket) -> None:
    volume = np.stack([phantom().image] * 3)
    job = run(s3_http, tiff(volume, photometric="minisblack"), params={"axes": "ZYX"})
    assert labels_of(s3_http, job).shape == volume.shape
    assert bucket.keys(f"jobs/{job['id']}/ledger") == []


def test_what_is_refused_leaves_nothing(s3_http: httpx.Client, bucket: Bucket, cell: bytes) -> None:
    before = bucket.keys("jobs")
    refused(post(s3_http, b"no image"), 415, "unsupported-media-type")
    refused(post(s3_http, cell, params={"min_size": -1}), 422, "invalid-request")
    assert bucket.keys("jobs") == before


def test_operators_are_told_why_a_bucket_cannot_be_used(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bucket.settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StorageUnavailable) as missing:
        create(open_store("s3://nowhere/x"), "key", b"")
    assert "nowhere" not in str(missing.value)
    assert "(NoSuchBucket, The specified bucket does not exist)" in missing.value.for_operators
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StorageUnavailable) as closed:
        create(open_store("s3://lab/x", patience_seconds=0.1), "key", b"")
    assert "http://127.0.0.1:1/lab/x/key" in closed.value.for_operators
    assert "(tcp connect error)" in closed.value.for_operators


def test_a_storage_that_hangs_holds_up_nobody_for_long_and_costs_no_job(
    stored: RunningService, s3_http: httpx.Client, bucket: Bucket
) -> None:
    job = inferred(s3_http, tiff(large_image(2048), compression="zlib"))
    path = f"/v1/jobs/{job['id']}"
    child = stored.child().pid

    def ask(path: str, method: str = "GET") -> tuple[httpx.Response, float]:
        started = time.monotonic()
        response = httpx.request(method, stored.url + path, timeout=60, trust_env=False)
        return response, time.monotonic() - started

    with bucket.gateway.blocked(), ThreadPoolExecutor(_MANY + 10) as threads:
        shown = [threads.submit(ask, f"{path}/cancel", "POST") for _ in range(_MANY)]
        shown += [threads.submit(ask, path) for _ in range(2)]
        ready = [threads.submit(ask, "/readyz") for _ in range(3)]
        while not all(each.done() for each in shown):
            response, seconds = ask("/livez")
            assert (response.status_code, seconds < _LIVE_SECONDS) == (200, True)
            response, seconds = ask("/v1/models")
            assert (response.status_code, seconds < _READY_SECONDS) == (200, True)
            time.sleep(0.5)
        for response, seconds in (each.result() for each in ready):
            refused(response, 503, "not-ready", "storage", "5 seconds")
            assert seconds < _READY_SECONDS
        for response, seconds in (each.result() for each in shown):
            refused(response, 503, "storage-unavailable")
            assert seconds < _GIVE_UP_SECONDS
    job = ended(s3_http, job)
    assert (job["status"], job["attempt"], stored.child().pid) == ("succeeded", 1, child), job
    assert labels_of(s3_http, job).shape == (2048, 2048)  # 16 MiB, in pieces
    assert s3_http.get("/readyz").status_code == 200
