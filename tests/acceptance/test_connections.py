"""What comes over a connection besides decent requests: nothing of it costs the others their service."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import httpx
import pytest

from service.protocol import HEAD_BYTES
from tests.acceptance.exchange import Json, post, stored_jobs
from tests.running_service import RunningService, running_service

_IDLE_CONNECTIONS = 600
_PATIENCE_SECONDS = 0.5
_SETTINGS = {
    "EMSERVE_WORKERS": "0",
    "EMSERVE_UPLOAD_IDLE_SECONDS": str(_PATIENCE_SECONDS),
    "EMSERVE_MIN_UPLOAD_BYTES_PER_SECOND": "1000000",
    "EMSERVE_MAX_UPLOADS": "2",
}
_HEAD = b"POST /v1/jobs?model=mitonet HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service that does not wait long."""
    with running_service(tmp_path_factory.mktemp("hasty") / "data", settings=_SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def http(hasty: RunningService) -> Iterator[httpx.Client]:
    with hasty.client() as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_is_left(hasty: RunningService) -> Iterator[None]:
    before = stored_jobs(hasty)
    yield
    assert stored_jobs(hasty) == before


def _connect(service: RunningService) -> socket.socket:
    address = urlsplit(service.url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=20)


def _answer(connection: socket.socket) -> tuple[int, Json]:
    """Status and problem."""
    answer = b""
    while not answer.endswith(b"}"):
        part = connection.recv(65536)
        assert part, answer
        answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head
    assert b"x-request-id: " in head
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize("sent", [b"", b"II*\0", b"II*\0" + bytes(100_000)])
def test_an_upload_that_stands_still_is_given_up(hasty: RunningService, sent: bytes) -> None:
    with closing(_connect(hasty)) as connection:
        connection.sendall(_HEAD + sent)
        status, problem = _answer(connection)
    assert (status, problem["type"]) == (408, "urn:emserve:problem:upload-too-slow")
    assert f"after {len(sent)} bytes" in problem["detail"]
    assert "EMSERVE_UPLOAD_IDLE_SECONDS" in problem["detail"]


def test_an_upload_that_drips_is_given_up(hasty: RunningService) -> None:
    with closing(_connect(hasty)) as connection:
        connection.sendall(_HEAD + b"II*\0")
        connection.settimeout(_PATIENCE_SECONDS / 10)
        begun = time.monotonic()
        while time.monotonic() < begun + 60:
            connection.sendall(b"drip")
            try:
                connection.recv(1, socket.MSG_PEEK)
            except TimeoutError:
                continue
            break
        assert _answer(connection)[0] == 408


def test_an_upload_beyond_those_at_the_same_time_is_told_to_come_again(
    hasty: RunningService, http: httpx.Client
) -> None:
    with ExitStack() as stack:
        deadline = time.monotonic() + 10
        while True:  # on a slow machine those that wait may be given up before the next one comes
            for _ in range(2):
                stack.enter_context(closing(_connect(hasty))).sendall(_HEAD + b"II*\0")
            response = post(http, b"x")
            if response.status_code == 503 or time.monotonic() > deadline:
                break
        assert response.status_code == 503, response.text
        assert response.json()["type"] == "urn:emserve:problem:too-many-uploads"
        assert response.json()["kind"] == "system"
        assert response.json()["limit"] == 2
        assert int(response.headers["retry-after"]) >= 1
        assert http.get("/v1/jobs").status_code == 200
    deadline = time.monotonic() + 10
    while (response := post(http, b"x")).status_code == 503 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert response.status_code == 415


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\0", b"HELO\r\n\r\n", b"GET / HTTP/9\r\n\r\n", bytes(500)]
)
def test_what_is_no_http_is_answered_with_a_problem(hasty: RunningService, sent: bytes) -> None:
    with closing(_connect(hasty)) as connection:
        connection.sendall(sent)
        status, problem = _answer(connection)
        assert connection.recv(1) == b""
    assert (status, problem["type"]) == (400, "urn:emserve:problem:bad-request")
    assert problem["request_id"]


@pytest.mark.parametrize("end", [b"", b" HTTP/1.1\r\nHost: localhost\r\n\r\n"])
@pytest.mark.parametrize("start", [b"GET /livez HTTP/1.1\r\nX-Long: ", b"GET /"])
def test_a_head_that_is_too_long_is_refused_with_or_without_its_end(
    hasty: RunningService, start: bytes, end: bytes
) -> None:
    with closing(_connect(hasty)) as connection:
        connection.sendall(start + b"a" * (HEAD_BYTES + 1) + end)
        status, problem = _answer(connection)
    assert status == 431
    assert str(HEAD_BYTES) in problem["detail"]


def test_a_long_head_is_read(http: httpx.Client) -> None:
    assert http.get("/livez", headers={"X-Long": "a" * (HEAD_BYTES - 1000)}).status_code == 200


def test_many_idle_connections_keep_nobody_from_the_service(
    hasty: RunningService,
) -> None:
    with ExitStack() as stack:
        for number in range(_IDLE_CONNECTIONS):
            connection = stack.enter_context(closing(_connect(hasty)))
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost:"[: number % 28])
        with hasty.client() as another:
            assert another.get("/v1/jobs").status_code == 200
            assert another.get("/readyz").status_code == 200
        assert hasty.part("api").memory_info().rss < 300e6
