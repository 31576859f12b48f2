"""What the acceptance tests send, and how they read an answer."""

import io
import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
import numpy as np
import zarr
from numpy.typing import NDArray
from obstore.store import HTTPStore
from zarr.storage import ObjectStore

from tests.running_service import RunningService

Json = Any  # a body as any client sees it
NOBODY = "00000000-0000-7000-8000-000000000000"  # an id that no job has
_END_SECONDS = 120


def post(
    http: httpx.Client, image: bytes | None, headers: Mapping[str, str] | None = None, **parts: Json
) -> httpx.Response:
    """POST /v1/jobs as multipart/form-data: `model` is mitonet unless it is given, a part that is no text
    is sent as JSON, None leaves a part out."""
    files: dict[str, tuple[str | None, bytes | str]] = {}
    if image is not None:
        files["image"] = (parts.pop("filename", "cell.tif"), image)
    for name, value in {"model": "mitonet", **parts}.items():
        if value is not None:
            files[name] = (None, value if isinstance(value, str) else json.dumps(value))
    return http.post("/v1/jobs", files=files, headers=headers)


def accepted(response: httpx.Response) -> Json:
    """The job of a 202."""
    assert response.status_code == 202, response.text
    return response.json()


def ended(http: httpx.Client, job: Json) -> Json:
    """`job` once it has ended."""
    deadline = time.monotonic() + _END_SECONDS
    while job["status"] not in ("succeeded", "failed", "cancelled") and time.monotonic() < deadline:
        job = http.get(f"/v1/jobs/{job['id']}", headers={"Prefer": "wait=10"}).json()
    return job


def inferred(http: httpx.Client, image: bytes) -> Json:
    """A job of `image` whose network runs."""
    job = accepted(post(http, image))
    deadline = time.monotonic() + _END_SECONDS
    while job["stage"] != "infer" and time.monotonic() < deadline:
        time.sleep(0.02)
        job = http.get(f"/v1/jobs/{job['id']}").json()
    assert job["status"] == "running", job
    return job


def run(http: httpx.Client, image: bytes, **parts: Json) -> Json:
    """The succeeded job of an image."""
    job = ended(http, accepted(post(http, image, **parts)))
    assert job["status"] == "succeeded", job
    return job


def refused(response: httpx.Response, status: int, slug: str, *words: str) -> Json:
    """The problem of a refusal, whose detail has these words: the value, the limit, the remedy."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == f"urn:emserve:problem:{slug}", problem
    for word in words:
        assert word in problem["detail"], problem
    return problem


def labels_of(http: httpx.Client, job: Json, **query: Json) -> NDArray[np.integer]:
    """The label map of a succeeded job, or what `query` chooses of it."""
    answer = http.get(f"/v1/jobs/{job['id']}/labels", params={"format": "npy", **query})
    assert answer.status_code == 200, answer.text
    return np.asarray(np.load(io.BytesIO(answer.content)))


def zarr_of(service: RunningService, job: Json, query: str = "") -> zarr.Group:
    """The label map of a job as zarr opens it by its URL."""
    url = f"{service.url}/v1/jobs/{job['id']}/labels.zarr{query}"
    store = ObjectStore(HTTPStore.from_url(url, client_options={"allow_http": True}), read_only=True)
    return zarr.open_group(store, mode="r")


def level(group: zarr.Group, path: str = "0") -> NDArray[np.integer]:
    """The whole of one of its arrays."""
    array = group[path]
    assert isinstance(array, zarr.Array)
    return np.asarray(array[:])


def stored_jobs(service: RunningService) -> set[str]:
    """Names of everything in the folder of jobs. Without deleted ones: a worker that is still at one may
    write there once more, for a few milliseconds, before it sees the tombstone."""
    store = service.data_dir / "store"
    names, deleted = ({each.stem for each in (store / part).glob("*")} for part in ("jobs", "tombstones"))
    return names - deleted
