"""A disk that does not say how much room it has, as a network folder whose server is away."""

import errno
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.exchange import accepted, post, refused
from tests.integration.workshop import PATIENCE_SECONDS, eventually
from tests.pictures import phantom, tiff
from tests.running_service import OtherApi, RunningService, another_api

_QUICK_SECONDS = 15  # of what waits for nobody, on a busy machine
_SENDERS = 80  # more than there are threads for such questions
_MORE_THAN_A_LOOK = 40 * 1024**2  # bytes of an upload, in which the disks are looked at again
# The operating system's answer, which no test can have a real disk refuse: a file says what it is.
_DISK = """
import os, pathlib, time
statvfs, trouble = os.statvfs, pathlib.Path({trouble!r})
def troubled(path):
    while trouble.exists():
        if number := int(trouble.read_text()):
            raise OSError(number, os.strerror(number), str(path))
        time.sleep(0.05)
    return statvfs(path)
os.statvfs = troubled
"""
_SILENCE = 0


@pytest.fixture
def trouble(tmp_path: Path) -> Path:
    """While this file is there, the disk answers with the error in it, or not at all."""
    return tmp_path / "trouble"


@pytest.fixture
def api(service: RunningService, trouble: Path) -> Iterator[OtherApi]:
    """An API with such a disk."""
    with another_api(service, _DISK.format(trouble=str(trouble))) as running:
        with running.client() as client:
            assert client.get("/livez").status_code == 200
        yield running
        trouble.unlink(missing_ok=True)


def _begin(trouble: Path, number: int) -> None:
    trouble.with_suffix(".new").write_text(str(number))
    trouble.with_suffix(".new").rename(trouble)


def _metrics(client: httpx.Client) -> str:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert "emserve_workers 1.0" in answer.text  # the rest of the page
    return answer.text


def test_the_api_lives_while_the_disk_is_silent_however_many_ask(api: OtherApi, trouble: Path) -> None:
    _begin(trouble, _SILENCE)
    with ThreadPoolExecutor(_SENDERS) as threads, api.client() as client, api.client() as sender:
        sender.timeout = httpx.Timeout(PATIENCE_SECONDS)
        answers = [threads.submit(post, sender, b"no image") for _ in range(_SENDERS)]
        time.sleep(2)
        try:
            client.timeout = httpx.Timeout(_QUICK_SECONDS)
            assert client.get("/livez").status_code == 200
            problem = refused(client.get("/readyz"), 503, "not-ready", "has not answered for 5 seconds")
            assert [each["pointer"] for each in problem["errors"]] == ["/disk"]
            assert not any(each.done() for each in answers)
            assert "emserve_disk_free_bytes" not in _metrics(client)
        finally:
            trouble.unlink()
        assert {each.result().status_code for each in answers} <= {415, 503}
        assert client.get("/readyz").status_code == 200
        assert "emserve_disk_free_bytes" in _metrics(client)


def test_the_api_lives_while_the_disk_falls_silent_in_an_upload(api: OtherApi, trouble: Path) -> None:
    def body() -> Iterator[bytes]:
        image = tiff(phantom().image)
        yield image
        _begin(trouble, _SILENCE)
        for _ in range(_MORE_THAN_A_LOOK >> 20):
            yield bytes(1 << 20)  # behind a TIFF there may be anything

    with ThreadPoolExecutor(1) as threads, api.client() as client, api.client() as sender:
        sender.timeout = httpx.Timeout(PATIENCE_SECONDS)
        answer = threads.submit(sender.post, "/v1/jobs?model=mitonet", content=body())
        eventually(trouble.exists, "the silence")
        time.sleep(2)
        try:
            client.timeout = httpx.Timeout(_QUICK_SECONDS)
            assert client.get("/livez").status_code == 200
            assert not answer.done()
        finally:
            trouble.unlink()
        accepted(answer.result())


def test_a_disk_that_refuses_to_say_its_room_is_an_unavailable_storage(api: OtherApi, trouble: Path) -> None:
    with api.client() as client:
        _begin(trouble, errno.ESTALE)
        refused(post(client, tiff(phantom().image)), 503, "storage-unavailable", "Try again")
        problem = refused(client.get("/readyz"), 503, "not-ready", "cannot be reached")
        assert [each["pointer"] for each in problem["errors"]] == ["/disk"]
        assert "emserve_disk_free_bytes" not in _metrics(client)
        trouble.unlink()
        assert client.get("/readyz").status_code == 200
        accepted(post(client, tiff(phantom().image)))
