"""The asyncio client against a real HTTP server: it carries out the same steps."""

import asyncio
import inspect
import io
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from emserve.client import AsyncClient, Client, CorruptAnswer, JobDeleted, ServiceUnreachable
from emserve.jobs import PROBLEM_PREFIX, Job, JobPage, JobStatus
from tests.unit.client.far_side import Reply, far_side, json_reply, make_job, make_problem


def test_both_clients_have_the_same_methods() -> None:
    for name, method in inspect.getmembers(Client, inspect.isfunction):
        if not name.startswith("_"):
            theirs = inspect.signature(getattr(AsyncClient, name)).parameters
            assert list(theirs.values()) == list(inspect.signature(method).parameters.values()), name
            assert getattr(AsyncClient, name).__doc__ == method.__doc__, name


def test_segment_goes_the_whole_way(tmp_path: Path) -> None:
    path = tmp_path / "cell.tif"
    path.write_bytes(b"image" * 100_000)
    file = io.BytesIO()
    np.save(file, np.eye(3, dtype=np.uint8))
    replies = [
        json_reply(make_job(JobStatus.QUEUED), 202),
        Reply(503, b"", {"Retry-After": "0"}),
        json_reply(make_job(JobStatus.RUNNING)),
        json_reply(make_job()),
        Reply(200, file.getvalue()),
        json_reply(b'{"objects": [{"label": 1}]}'),
    ]
    seen: list[JobStatus] = []

    async def segment(url: str) -> int:
        async with AsyncClient(url) as client:
            done = await client.segment(path, "mitonet", on_progress=lambda job: seen.append(job.status))
            return int(done.labels.sum()) + len(done.objects)

    with far_side(*replies) as side:
        assert asyncio.run(segment(side.url)) == 4
    assert side.asked[0].body == path.read_bytes()
    assert side.asked[0].headers["content-length"] == str(path.stat().st_size)
    assert seen == [JobStatus.RUNNING, JobStatus.SUCCEEDED]


def test_jobs_are_iterated_page_by_page() -> None:
    pages = [
        JobPage(jobs=[make_job(job_id="b")], next_page_token="t"),  # a cursor
        JobPage(jobs=[make_job(job_id="a")]),
    ]

    async def ids(url: str) -> list[str]:
        async with AsyncClient(url) as client:
            return [job.id async for job in client.jobs()]

    with far_side(*(json_reply(page.model_dump_json().encode()) for page in pages)) as side:
        assert asyncio.run(ids(side.url)) == ["b", "a"]


def test_a_deleted_job_is_told_from_one_that_never_was() -> None:
    deleted = make_problem(410).model_copy(update={"type": PROBLEM_PREFIX + "job-deleted"})

    async def delete_and_ask(url: str) -> None:
        async with AsyncClient(url) as client:
            await client.delete("a")
            await client.labels("a")

    with far_side(Reply(204), json_reply(deleted, 410)) as side, pytest.raises(JobDeleted):
        asyncio.run(delete_and_ask(side.url))


def test_a_damaged_file_is_not_kept(tmp_path: Path) -> None:
    async def save(url: str) -> None:
        async with AsyncClient(url) as client:
            await client.save("a", "labels", tmp_path / "out.tif")

    with far_side(Reply(200, b"x", {"Repr-Digest": "sha-256=:AAAA:"})) as side, pytest.raises(CorruptAnswer):
        asyncio.run(save(side.url))
    assert list(tmp_path.iterdir()) == []


class SlowFolder:
    """A folder on a drive that keeps everybody waiting until `answers` is set."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers = threading.Event()

    def __fspath__(self) -> str:
        if not self.answers.wait(10):
            raise OSError(f"{self.path} does not answer")
        return str(self.path)


def test_the_loop_goes_on_while_an_image_is_packed(tmp_path: Path) -> None:
    (tmp_path / "1.png").write_bytes(b"one")
    folder = SlowFolder(tmp_path)

    async def tick() -> None:
        folder.answers.set()

    async def submit(url: str) -> None:
        async with AsyncClient(url) as client:
            await asyncio.gather(client.submit(folder, "mitonet"), tick())

    with far_side(json_reply(make_job(JobStatus.QUEUED), 202)) as side:
        asyncio.run(submit(side.url))
    assert zipfile.ZipFile(io.BytesIO(side.asked[0].body)).read("1.png") == b"one"


def test_calls_wait_for_their_turn_however_many_there_are() -> None:
    body = make_job().model_dump_json().encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(2.5)  # longer than the client's `timeout`
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async def ask_for_all() -> list[Job]:
        server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=256)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server, AsyncClient(url, timeout=2) as client:
            return await asyncio.gather(*(client.job("0199-a", wait=60) for _ in range(250)))

    assert len(asyncio.run(ask_for_all())) == 250


def test_a_service_that_is_not_there_is_named() -> None:
    async def submit() -> None:
        async with AsyncClient("http://127.0.0.1:9") as client:
            await client.submit(b"image", "mitonet")

    with pytest.raises(ServiceUnreachable, match=r"http://127\.0\.0\.1:9"):
        asyncio.run(submit())
