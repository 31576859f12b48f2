"""Deleting: whatever a job does, afterwards it is gone for everybody."""

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.exchange import NOBODY, Json, accepted, post, refused, run, stored_jobs
from tests.pictures import large_image, phantom, tiff
from tests.running_service import RunningService, running_service

_SECONDS = 2 + 3  # the contract's, and slack for a busy machine
_PARTS = ("", "/labels", "/labels?format=npy", "/objects", "/preview.png", "/provenance")


def _delete(http: httpx.Client, job: Json) -> httpx.Response:
    return http.delete(f"/v1/jobs/{job['id']}")


def _assert_gone(http: httpx.Client, service: RunningService, job: Json) -> None:
    for part in _PARTS:
        refused(http.get(f"/v1/jobs/{job['id']}{part}"), 410, "job-deleted", job["id"], "UTC", "again")
    refused(http.post(f"/v1/jobs/{job['id']}/cancel"), 410, "job-deleted")
    listed = http.get("/v1/jobs", params={"page_size": 100}).json()["jobs"]
    assert job["id"] not in [each["id"] for each in listed]
    assert job["id"] not in stored_jobs(service)


def _until(look: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_who_waits_for_a_job_that_somebody_deletes_hears_that_it_was_accepted(
    http: httpx.Client, service: RunningService
) -> None:
    def send() -> httpx.Response:
        with service.client() as waiting:
            return post(waiting, tiff(large_image()), {"Prefer": "wait=60"}, tags={"who": "waits"})

    def sent() -> list[Json]:
        jobs: list[Json] = http.get("/v1/jobs", params={"tag": "who:waits"}).json()["jobs"]
        return jobs

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(send)
        _until(lambda: len(sent()) == 1, "the job is in the list")
        (job,) = sent()
        assert _delete(http, job).status_code == 204
        response = answer.result(timeout=60)
    assert accepted(response)["id"] == job["id"]
    assert response.headers["Location"] == job["links"]["self"]
    _assert_gone(http, service, job)


def test_a_succeeded_job_is_gone_with_all_that_belongs_to_it(
    http: httpx.Client, service: RunningService, cell: bytes
) -> None:
    job = run(http, cell)
    for part in _PARTS:
        assert http.get(f"/v1/jobs/{job['id']}{part}").status_code == 200
    for _ in range(2):
        response = _delete(http, job)
        assert response.status_code == 204
        assert response.content == b""
        _assert_gone(http, service, job)


def test_a_running_and_a_queued_job_go_at_once_and_the_next_one_runs(
    http: httpx.Client, service: RunningService, cell: bytes
) -> None:
    running, queued, waiting = (
        accepted(post(http, image)) for image in (tiff(large_image(), compression="zlib"), cell, cell)
    )
    path = f"/v1/jobs/{running['id']}"
    _until(lambda: http.get(path).json()["stage"] == "infer", "the network")
    child = service.child()
    with ThreadPoolExecutor(1) as thread:
        patient = thread.submit(httpx.get, f"{service.url}{path}?wait=20", timeout=30, trust_env=False)
        assert _delete(http, queued).status_code == 204
        started = time.monotonic()
        assert _delete(http, running).status_code == 204
        _assert_gone(http, service, queued)
        _until(lambda: not child.is_running(), "the child's end", _SECONDS)
        assert time.monotonic() - started < _SECONDS
        refused(patient.result(), 410, "job-deleted")
    job = http.get(f"/v1/jobs/{waiting['id']}?wait=30").json()
    assert job["status"] == "succeeded"
    _assert_gone(http, service, running)


def test_whatever_is_asked_for_while_a_job_is_deleted_is_there_or_gone(
    http: httpx.Client, service: RunningService
) -> None:
    chance = random.Random(3)
    image = tiff(phantom(side=64).image)
    jobs = [run(http, image) for _ in range(6)]

    def ask(job: Json, part: str) -> int:
        time.sleep(chance.uniform(0, 0.05))
        return httpx.get(f"{service.url}/v1/jobs/{job['id']}{part}", trust_env=False).status_code

    with ThreadPoolExecutor(len(_PARTS)) as threads:
        for job in jobs:
            answers = [threads.submit(ask, job, part) for part in _PARTS]
            time.sleep(chance.uniform(0, 0.05))
            assert _delete(http, job).status_code == 204
            assert {each.result() for each in answers} <= {200, 410}
            _assert_gone(http, service, job)


@pytest.mark.parametrize("name", [NOBODY, "a%20b", "..%2f..%2fetc"])
def test_what_was_never_a_job_is_not_found(http: httpx.Client, name: str) -> None:
    assert http.delete(f"/v1/jobs/{name}").status_code == 404


def test_a_job_expires_when_it_said_and_its_id_is_forgotten_later(tmp_path: Path, cell: bytes) -> None:
    day = 24 * 3600
    settings = {
        "EMSERVE_KEEP_JOBS_DAYS": str(3 / day),
        "EMSERVE_KEEP_TOMBSTONES_DAYS": str(3 / day),
        "EMSERVE_SWEEP_SECONDS": "0.2",
    }
    with (
        running_service(tmp_path / "data", "--api-only", settings=settings) as forgetful,
        forgetful.client() as http,
    ):
        job, waiting = accepted(post(http, cell)), accepted(post(http, cell))
        assert job["expires_at"] is None
        path = job["links"]["self"]
        job = http.post(f"{path}/cancel").json()
        assert job["expires_at"] > job["finished_at"]
        assert http.get(path).json() == job

        _until(lambda: http.get(path).status_code == 410, "expiry")
        assert [each["id"] for each in http.get("/v1/jobs").json()["jobs"]] == [waiting["id"]]
        _until(lambda: http.get(path).status_code == 404, "the tombstone's end")
        assert http.delete(path).status_code == 404
        assert stored_jobs(forgetful) == {waiting["id"]}
