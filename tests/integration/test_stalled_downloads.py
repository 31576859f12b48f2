"""Clients that ask for a large result and read it slowly, or not at all."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from tests.acceptance.exchange import Json, labels_of, run
from tests.integration.workshop import eventually
from tests.pictures import large_image, tiff
from tests.running_service import OtherApi, RunningService, another_api

_SIDE = 5000  # more than 20 MB of labels, which no system holds for a reader
_STALL_SECONDS = 5
_SLOW_SECONDS = 3 * _STALL_SECONDS
_PAUSE_SECONDS = 0.25
_SIP_BYTES = 32 << 10
_HASTE = f"from service.protocol import BoundedHttp\nBoundedHttp.stall_seconds = {_STALL_SECONDS}"


@pytest.fixture(scope="module")
def api(service: RunningService) -> Iterator[OtherApi]:
    """An API that does not wait long for readers."""
    with another_api(service, _HASTE) as running:
        with running.client() as client:
            assert client.get("/livez").status_code == 200
        yield running


@pytest.fixture(scope="module")
def job(api: OtherApi) -> Json:
    """A succeeded job with a large label map, which has been rendered."""
    image = tiff(large_image(_SIDE), compression="zlib")
    with api.client() as client:
        client.timeout = httpx.Timeout(90)
        done = run(client, image, params={"downsampling": 64})
        labels_of(client, done)
        return done


def _asked(api: OtherApi, job: Json) -> socket.socket:
    """A connection over which the label map was asked for, and whose system takes little of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
    connection.connect(api.address)
    lines = (f"GET /v1/jobs/{job['id']}/labels?format=npy HTTP/1.1", "Host: localhost", "Connection: close")
    connection.sendall("\r\n".join((*lines, "", "")).encode())
    return connection


def _is_reset(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def test_a_download_that_nobody_reads_is_ended(api: OtherApi, job: Json) -> None:
    with closing(_asked(api, job)) as connection:
        eventually(lambda: connection.recv(1, socket.MSG_PEEK), "the answer")
        eventually(lambda: _is_reset(connection), "the end of the connection")


def test_a_download_that_is_read_slowly_comes_whole(api: OtherApi, job: Json) -> None:
    with closing(_asked(api, job)) as connection:
        answer = bytearray()
        begun = time.monotonic()
        while time.monotonic() < begun + _SLOW_SECONDS:
            time.sleep(_PAUSE_SECONDS)
            answer += connection.recv(_SIP_BYTES)
        while part := connection.recv(1 << 20):
            answer += part
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: "))
    assert len(body) == int(length.split()[1])
