"""Uploads that break off on their way: nothing of them stays, and the service works on."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

from tests.acceptance.exchange import accepted, ended, post, refused, stored_jobs
from tests.running_service import RunningService

_CLEAN_SECONDS = 30
_BOUNDARY = "frontier"


@pytest.fixture(autouse=True)
def _nothing_is_left(service: RunningService, http: httpx.Client, cell: bytes) -> Iterator[None]:
    before = stored_jobs(service)
    yield
    deadline = time.monotonic() + _CLEAN_SECONDS
    while stored_jobs(service) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert stored_jobs(service) == before
    assert ended(http, accepted(post(http, cell)))["status"] == "succeeded"


def _connect(service: RunningService) -> socket.socket:
    address = urlsplit(service.url)
    assert address.hostname
    assert address.port
    return socket.create_connection((address.hostname, address.port), timeout=20)


def _head(body_bytes: int | None, content_type: str = "image/tiff") -> bytes:
    length = "Transfer-Encoding: chunked" if body_bytes is None else f"Content-Length: {body_bytes}"
    lines = [
        "POST /v1/jobs?model=mitonet HTTP/1.1",
        "Host: localhost",
        f"Content-Type: {content_type}",
        length,
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _form(cell: bytes) -> bytes:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="cell.tif"\r\n\r\n'
    return head.encode() + cell


def _await_entry(service: RunningService, before: set[str]) -> None:
    """Until the upload has begun to arrive, when the store is local and shows it."""
    deadline = time.monotonic() + 1
    while stored_jobs(service) == before and time.monotonic() < deadline:
        time.sleep(0.02)


def _answer(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_a_body_shorter_than_its_length_makes_no_job(service: RunningService, cell: bytes) -> None:
    with closing(_connect(service)) as connection:
        connection.sendall(_head(len(cell)) + cell[:-1000])
        connection.shutdown(socket.SHUT_WR)
        answer = _answer(connection)
    assert not answer.startswith(b"HTTP/1.1 2")


@pytest.mark.parametrize("sent", [0, 100, -1])
def test_a_client_that_goes_away_makes_no_job(service: RunningService, cell: bytes, sent: int) -> None:
    before = stored_jobs(service)
    with closing(_connect(service)) as connection:
        connection.sendall(_head(len(cell)) + cell[:sent])
        _await_entry(service, before)


def test_a_client_that_goes_away_in_a_large_upload_makes_no_job(service: RunningService) -> None:
    before = stored_jobs(service)
    with closing(_connect(service)) as connection:
        connection.sendall(_head(1 << 30))
        for _ in range(30):
            connection.sendall(b"II*\0" + bytes(1 << 20))
        _await_entry(service, before)


def test_a_client_that_goes_away_between_chunks_makes_no_job(service: RunningService, cell: bytes) -> None:
    before = stored_jobs(service)
    with closing(_connect(service)) as connection:
        connection.sendall(_head(None) + f"{len(cell):x}\r\n".encode() + cell + b"\r\n")
        _await_entry(service, before)


def test_a_client_that_goes_away_inside_a_form_makes_no_job(service: RunningService, cell: bytes) -> None:
    before = stored_jobs(service)
    with closing(_connect(service)) as connection:
        body = _form(cell)
        connection.sendall(_head(len(body) + 200, f"multipart/form-data; boundary={_BOUNDARY}") + body)
        _await_entry(service, before)


@pytest.mark.parametrize("place", ["a part's head", "a part's name", "parts without end"])
def test_a_form_is_not_larger_than_its_image(http: httpx.Client, cell: bytes, place: str) -> None:
    junk = b"A" * 2**19
    first = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name=".encode()
    body = {
        "a part's head": first + b'"image"; filename="' + junk,
        "a part's name": first + b'"' + junk,
        "parts without end": _form(cell) + (b"\r\n" + first + b'"model"\r\n\r\n' + 2**14 * b"m") * 50,
    }[place]
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    response = http.post("/v1/jobs", content=body, headers=headers)
    assert response.status_code == 422, response.text
    assert response.json()["type"] == "urn:emserve:problem:invalid-request"


def test_the_list_is_sorted_by_the_time_that_it_shows(http: httpx.Client, cell: bytes) -> None:
    def slowly() -> Iterator[bytes]:
        yield cell[:100]
        time.sleep(1.5)
        yield cell[100:]

    url = "/v1/jobs?model=mitonet&tags=%7B%22sorted%22%3A%20%22yes%22%7D"
    with ThreadPoolExecutor() as threads:
        slow = threads.submit(http.post, url, content=slowly())
        time.sleep(0.5)
        quick = http.post(url, content=cell).json()
        jobs = [quick, slow.result().json()]
    listed = http.get("/v1/jobs", params={"tag": "sorted:yes"}).json()["jobs"]
    newest_first = sorted(jobs, key=lambda job: str(job["created_at"]), reverse=True)
    assert [job["id"] for job in listed] == [job["id"] for job in newest_first]
    after = http.get("/v1/jobs", params={"tag": "sorted:yes", "created_after": newest_first[1]["created_at"]})
    assert [job["id"] for job in after.json()["jobs"]] == [newest_first[0]["id"]]
    for job in jobs:
        assert http.delete(f"/v1/jobs/{job['id']}").status_code == 204


_PARAMS = f'\r\n--{_BOUNDARY}\r\nContent-Disposition: form-data; name="params"\r\n\r\n{{"min_size": 50}}'


@pytest.mark.parametrize(
    "rest",
    [
        "",
        f"\r\n--{_BOUNDARY}",
        f"\r\n--{_BOUNDARY}\r\n",
        _PARAMS[:60],
        _PARAMS,
        f"{_PARAMS}\r\n--{_BOUNDARY}\r\n",
    ],
    ids=[
        "in the image",
        "in a boundary",
        "behind a boundary",
        "in a head",
        "in a text",
        "before the last line",
    ],
)
def test_a_form_that_was_cut_off_is_refused(http: httpx.Client, cell: bytes, rest: str) -> None:
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    model = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\nmitonet\r\n'
    response = http.post("/v1/jobs", content=model.encode() + _form(cell) + rest.encode(), headers=headers)
    refused(response, 400, "incomplete-upload", "again")


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_a_form_may_end_in_pieces_and_have_something_behind(
    http: httpx.Client, cell: bytes, piece: int
) -> None:
    head = f'\r\n--{_BOUNDARY}\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
    end = f"{head}mitonet\r\n--{_BOUNDARY}--\r\nan epilogue, which means nothing".encode()

    def in_pieces() -> Iterator[bytes]:
        yield _form(cell)
        for start in range(0, len(end), piece):
            yield end[start : start + piece]

    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    job = accepted(http.post("/v1/jobs", content=in_pieces(), headers=headers))
    assert job["model"]["name"] == "mitonet"
    assert http.delete(f"/v1/jobs/{job['id']}").status_code == 204
