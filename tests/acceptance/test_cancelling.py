"""Cancelling: a queued job, a running one, an ended one."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.acceptance.exchange import Json, accepted, ended, inferred, post, refused, run
from tests.pictures import large_image, tiff

_SECONDS = 2 + 3  # the contract's, and slack for a busy machine


def _cancel(http: httpx.Client, job: Json) -> httpx.Response:
    return http.post(f"/v1/jobs/{job['id']}/cancel")


@pytest.fixture
def busy(http: httpx.Client) -> Iterator[Json]:
    """A running job, cancelled afterwards."""
    job = inferred(http, tiff(large_image(), compression="zlib"))
    yield job
    _cancel(http, job)
    assert ended(http, job)["status"] == "cancelled"


def test_a_running_job_is_off_the_device_within_seconds_and_the_service_works_on(
    http: httpx.Client, busy: Json, cell: bytes
) -> None:
    assert busy["started_at"] is not None
    assert 0 <= busy["progress"]["fraction"] < 1
    assert set(busy["links"]) == {"self", "cancel"}

    waiting = accepted(post(http, cell))
    assert (waiting["status"], waiting["queue"]) == ("queued", {"position": 0})
    behind = accepted(post(http, cell))
    assert behind["queue"] == {"position": 1}
    unready = http.get(f"/v1/jobs/{busy['id']}/labels")
    refused(unready, 409, "result-not-ready", busy["id"], "wait")
    assert int(unready.headers["retry-after"]) >= 1

    response = _cancel(http, waiting)
    assert response.status_code == 202
    assert response.json()["status"] == "cancelled"
    assert response.json()["started_at"] is None

    started = time.monotonic()
    response = _cancel(http, busy)
    assert response.status_code == 202
    assert response.json()["status"] in ("cancelling", "cancelled")
    job = http.get(f"/v1/jobs/{busy['id']}", headers={"Prefer": "wait=10"}).json()
    assert job["status"] == "cancelled"
    assert time.monotonic() - started < _SECONDS
    assert job["error"] is None
    assert set(job["links"]) == {"self"}
    refused(http.get(f"/v1/jobs/{busy['id']}/labels"), 409, "no-result", "cancelled")

    assert ended(http, behind)["status"] == "succeeded"
    assert http.get(f"/v1/jobs/{waiting['id']}").json()["status"] == "cancelled"


def test_cancelling_a_succeeded_job_changes_nothing(http: httpx.Client, finished: Json) -> None:
    response = _cancel(http, finished)
    assert response.status_code == 200
    assert response.json() == finished
    assert http.get(f"/v1/jobs/{finished['id']}/labels").status_code == 200


def test_a_job_after_a_cancelled_one_succeeds(http: httpx.Client, cell: bytes) -> None:
    assert run(http, cell)["attempt"] == 1
