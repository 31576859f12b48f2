"""A service with tight limits and no worker: what is too large is refused early, the rest waits."""

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from emserve.settings import Settings
from emserve.tally import Event
from emserve.tickets import connect
from tests.acceptance.exchange import Json, accepted, post, refused, stored_jobs
from tests.archives import ome, slices_of, zarr_files, zip_of
from tests.pictures import tiff
from tests.running_service import RunningService, running_service

_UPLOAD_BYTES = 100_000
_PIXELS = 65_536
_VOXELS = 150_000
_SETTINGS = {
    "EMSERVE_MAX_UPLOAD_BYTES": str(_UPLOAD_BYTES),
    "EMSERVE_MAX_PIXELS": str(_PIXELS),
    "EMSERVE_MAX_VOXELS": str(_VOXELS),
    "EMSERVE_WORKERS": "0",
    "EMSERVE_MAX_WAIT_SECONDS": "1",
    "EMSERVE_MAX_PAGES": "3",
}
_QUEUED_JOBS = 2


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("tight") / "data", settings=_SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def http(tight: RunningService) -> Iterator[httpx.Client]:
    with tight.client() as client:
        yield client


@pytest.fixture
def nothing_left(tight: RunningService) -> Iterator[None]:
    before = stored_jobs(tight)
    yield
    assert stored_jobs(tight) == before


@pytest.fixture(scope="module")
def waiting(http: httpx.Client) -> Json:
    """A job that no worker comes for."""
    return accepted(post(http, _grey()))


def _grey(side: int = 64) -> bytes:
    return tiff(np.zeros((side, side), np.uint8))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose queue is short, and whose disk counts as full once 1 EiB is announced."""
    settings = {"EMSERVE_WORKERS": "0", "EMSERVE_MAX_QUEUED_JOBS": str(_QUEUED_JOBS)}
    more = {"EMSERVE_MAX_UPLOAD_BYTES": str(1 << 62)}
    with running_service(tmp_path_factory.mktemp("crowded") / "data", settings=settings | more) as running:
        yield running


def _answer_before_the_body(service: RunningService, *headers: str) -> bytes:
    """What the service says to the head of an upload of which no body ever comes."""
    address = urlsplit(service.url)
    lines = ["POST /v1/jobs?model=mitonet HTTP/1.1", "Host: localhost", "Content-Type: image/tiff", *headers]
    with closing(
        socket.create_connection((address.hostname or "", address.port or 0), timeout=20)
    ) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("more", [[], ["Expect: 100-continue"]])
def test_an_upload_too_large_is_refused_before_its_body(tight: RunningService, more: list[str]) -> None:
    answer = _answer_before_the_body(tight, f"Content-Length: {1 << 40}", "Connection: close", *more)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    for said in (
        b"urn:emserve:problem:upload-too-large",
        b"1099511627776",
        b"100000",
        b"EMSERVE_MAX_UPLOAD_BYTES",
    ):
        assert said in answer


@pytest.mark.usefixtures("nothing_left")
def test_a_form_too_large_is_refused(http: httpx.Client) -> None:
    response = post(http, bytes(3 * _UPLOAD_BYTES))
    problem = refused(response, 413, "upload-too-large", str(_UPLOAD_BYTES), "EMSERVE_MAX_UPLOAD_BYTES")
    assert problem["given"] > 3 * _UPLOAD_BYTES
    assert problem["limit"] == _UPLOAD_BYTES


@pytest.mark.usefixtures("nothing_left")
def test_a_body_of_unknown_length_is_refused_once_it_is_too_large(http: httpx.Client) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        while sent < 200 * _UPLOAD_BYTES:
            sent += 10_000
            yield b"II*\0" + bytes(9_996)

    response = http.post("/v1/jobs", params={"model": "mitonet"}, content=endless())
    refused(response, 413, "upload-too-large", str(_UPLOAD_BYTES), "EMSERVE_MAX_UPLOAD_BYTES")


@pytest.mark.usefixtures("nothing_left")
def test_an_image_with_too_many_pixels_is_refused_by_its_header(http: httpx.Client) -> None:
    image = tiff(np.zeros((300, 300), np.uint8), compression="zlib")
    problem = refused(post(http, image), 422, "image-too-large", "90000", str(_PIXELS), "EMSERVE_MAX_PIXELS")
    assert (problem["given"], problem["limit"]) == (90_000, _PIXELS)


@pytest.mark.usefixtures("nothing_left")
def test_a_file_of_too_many_pages_is_refused_by_their_number(http: httpx.Client) -> None:
    stack = tiff(np.zeros((4, 8, 8), np.uint8), photometric="minisblack")
    problem = refused(post(http, stack), 422, "too-many-pages", "4", "3", "EMSERVE_MAX_PAGES")
    assert (problem["given"], problem["limit"]) == (4, 3)


def _stack(depth: int, side: int) -> NDArray[np.uint8]:
    return np.zeros((depth, side, side), np.uint8)


_DEEP: dict[str, Callable[[], bytes]] = {
    "tiff": lambda: tiff(_stack(3, 230), photometric="minisblack", compression="zlib"),
    "slices": lambda: zip_of(slices_of(_stack(3, 230), compression="zlib")),
    "zarr": lambda: zip_of(zarr_files(_stack(3, 230), ome("zyx"), chunks=(3, 230, 230))),
}


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("form", _DEEP)
def test_a_volume_with_too_many_voxels_is_refused_by_its_header(http: httpx.Client, form: str) -> None:
    answer = post(http, _DEEP[form]())
    problem = refused(answer, 422, "volume-too-large", "158700", str(_VOXELS), "EMSERVE_MAX_VOXELS")
    assert (problem["given"], problem["limit"], problem["kind"]) == (158_700, _VOXELS, "user")


@pytest.mark.usefixtures("nothing_left")
def test_of_a_volume_a_slice_may_be_too_large(http: httpx.Client) -> None:
    stack = tiff(_stack(2, 260), photometric="minisblack", compression="zlib")
    problem = refused(post(http, stack), 422, "image-too-large", "67600", str(_PIXELS), "EMSERVE_MAX_PIXELS")
    assert (problem["given"], problem["limit"]) == (67_600, _PIXELS)


def test_an_image_with_just_as_many_pixels_as_allowed_is_accepted(http: httpx.Client) -> None:
    assert accepted(post(http, _grey(256)))["input"]["shape"] == [256, 256]


def test_without_a_worker_a_job_is_accepted_with_a_warning(waiting: Json) -> None:
    assert [each["code"] for each in waiting["warnings"]] == ["starter-weights", "no-worker"]
    assert waiting["status"] == "queued"


def test_waiting_ends_when_the_time_is_over(http: httpx.Client, waiting: Json) -> None:
    response = http.get(f"/v1/jobs/{waiting['id']}", headers={"Prefer": "wait=50"})
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=1"
    assert int(response.headers["retry-after"]) >= 1
    assert response.json()["status"] == "queued"


def test_an_upload_that_waits_in_vain_is_accepted(http: httpx.Client) -> None:
    response = post(http, _grey(), headers={"Prefer": "wait=1"})
    assert accepted(response)["status"] == "queued"
    assert response.headers["preference-applied"] == "wait=1"


def test_metrics_tell_how_long_the_oldest_job_waits(http: httpx.Client, waiting: Json) -> None:
    waits = datetime.now(UTC) - datetime.fromisoformat(waiting["created_at"])
    text = http.get("/metrics").text
    (age,) = re.findall(r"^emserve_queue_age_seconds (\S+)$", text, re.MULTILINE)
    # An id is made when an upload begins, the record when it has been looked at.
    assert waits.total_seconds() <= float(age) < waits.total_seconds() + 120


def test_queued_jobs_know_their_place(http: httpx.Client, waiting: Json) -> None:
    first, second = (accepted(post(http, _grey()))["id"] for _ in range(2))
    places = [
        http.get(f"/v1/jobs/{each}").json()["queue"]["position"] for each in (waiting["id"], first, second)
    ]
    assert places == sorted(places)
    assert places[2] == places[1] + 1


@pytest.mark.parametrize("part", ["labels", "objects", "preview.png", "provenance"])
def test_results_of_an_unfinished_job_are_not_ready(http: httpx.Client, waiting: Json, part: str) -> None:
    response = http.get(f"/v1/jobs/{waiting['id']}/{part}")
    refused(response, 409, "result-not-ready", waiting["id"], "wait=60")
    assert int(response.headers["retry-after"]) >= 1


def test_a_queued_job_is_cancelled_at_once_and_only_once(http: httpx.Client) -> None:
    path = f"/v1/jobs/{accepted(post(http, _grey()))['id']}"
    first = http.post(f"{path}/cancel")
    assert (first.status_code, first.json()["status"]) == (202, "cancelled")
    again = http.post(f"{path}/cancel")
    assert (again.status_code, again.json()) == (200, first.json())
    assert http.get(path).json() == first.json()


def test_a_service_without_a_worker_is_ready_unless_one_is_required(http: httpx.Client) -> None:
    assert http.get("/readyz").json()["workers"] == []
    response = http.get("/readyz?require=worker")
    problem = refused(response, 503, "not-ready", "worker", "emserve worker")
    assert [each["pointer"] for each in problem["errors"]] == ["/worker"]
    assert problem["kind"] == "system"
    assert int(response.headers["retry-after"]) >= 1


def test_a_fault_of_the_service_is_a_problem_with_a_request_id_and_nothing_inside(
    tight: RunningService, http: httpx.Client
) -> None:
    counter = f"{Event.MODEL_PIXELS}:mitonet@starter"
    with contextlib.closing(connect(Settings(data_dir=tight.data_dir).redis_url)) as redis:
        redis.hset("emserve:tally", counter, "many")  # a fault that nobody foresees
        response = http.get("/v1/models", headers={"X-Request-ID": "fault-1"})
        redis.hdel("emserve:tally", counter)
    problem = refused(response, 500, "internal-error", "log", "request id")
    assert problem["request_id"] == response.headers["x-request-id"] == "fault-1"
    assert problem["kind"] == "system"
    assert "many" not in response.text
    assert "could not convert" not in response.text
    assert "fault-1" in tight.log.read_text()
    assert http.get("/v1/models").status_code == 200


def test_a_job_whose_record_is_damaged_can_be_deleted_and_keeps_no_other(
    tight: RunningService, http: httpx.Client
) -> None:
    damaged, other = (accepted(post(http, _grey())) for _ in range(2))
    (tight.data_dir / "store" / "jobs" / damaged["id"] / "job.json").write_bytes(b"{}")  # a disk's fault
    problem = refused(http.get(damaged["links"]["self"]), 500, "unreadable-record", damaged["id"], "deleted")
    assert problem["kind"] == "system"
    listed = {each["id"] for each in http.get("/v1/jobs").json()["jobs"]}
    assert other["id"] in listed
    assert damaged["id"] not in listed
    assert http.delete(damaged["links"]["self"]).status_code == 204
    refused(http.get(damaged["links"]["self"]), 410, "job-deleted")


def test_an_upload_for_which_the_disk_has_no_room_is_refused_before_its_body(crowded: RunningService) -> None:
    answer = _answer_before_the_body(crowded, f"Content-Length: {1 << 60}", "Connection: close")
    assert answer.startswith(b"HTTP/1.1 507 ")
    for said in (
        b"urn:emserve:problem:storage-full",
        b"2147483648 must",
        b"EMSERVE_MIN_FREE_BYTES",
    ):
        assert said in answer
    assert stored_jobs(crowded) == set()


def test_a_full_queue_takes_a_job_as_soon_as_another_goes(crowded: RunningService) -> None:
    with crowded.client() as http:
        jobs = [accepted(post(http, _grey())) for _ in range(_QUEUED_JOBS)]
        response = post(http, _grey())
        problem = refused(response, 503, "queue-full", str(_QUEUED_JOBS), "EMSERVE_MAX_QUEUED_JOBS")
        assert (problem["kind"], problem["given"], problem["limit"]) == ("system", _QUEUED_JOBS, _QUEUED_JOBS)
        assert int(response.headers["retry-after"]) >= 1
        http.post(f"/v1/jobs/{jobs[0]['id']}/cancel")
        accepted(post(http, _grey()))
        assert len(stored_jobs(crowded)) == _QUEUED_JOBS + 1


def test_by_default_no_page_is_named(http: httpx.Client) -> None:
    refused(http.get("/v1/jobs", headers={"Origin": "https://viewer.example.org"}), 403, "forbidden")
    assert "origin" not in http.get("/v1/jobs").headers.get("vary", "").lower()
