"""The blocking client against a real HTTP server."""

import base64
import hashlib
import io
import os
import socket
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from emserve.client import (
    ApiError,
    BadAddress,
    Client,
    CorruptAnswer,
    InvalidParameters,
    JobFailed,
    ServiceUnreachable,
    UnexpectedAnswer,
    UnknownFormat,
    UnusableImage,
)
from emserve.jobs import JobPage, JobStatus
from tests.unit.client.far_side import Reply, far_side, json_reply, make_job, make_problem


def npy(labels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]) -> bytes:
    file = io.BytesIO()
    np.save(file, labels)
    return file.getvalue()


def result(content: bytes, announced: bytes | None = None) -> Reply:
    digest = base64.b64encode(hashlib.sha256(content if announced is None else announced).digest())
    return Reply(200, content, {"Repr-Digest": f"sha-256=:{digest.decode()}:"})


def test_a_file_is_streamed_with_its_length_and_the_rest_in_the_query(tmp_path: Path) -> None:
    path = tmp_path / "cell.tif"
    path.write_bytes(bytes(range(256)) * 4096)
    told: list[tuple[int, int | None]] = []
    with far_side(json_reply(make_job(JobStatus.QUEUED), 202)) as side, Client(side.url) as client:
        job = client.submit(
            path,
            "mitonet",
            {"downsampling": 2},
            {"a": "b"},
            on_bytes=lambda sent, total: told.append((sent, total)),
        )
    assert job.status is JobStatus.QUEUED
    (asked,) = side.asked
    assert (asked.method, asked.path) == ("POST", "/v1/jobs")
    assert asked.query == {
        "model": "mitonet",
        "filename": "cell.tif",
        "params": '{"downsampling":2}',
        "tags": '{"a": "b"}',
    }
    assert asked.headers["content-type"] == "application/octet-stream"
    assert asked.headers["content-length"] == str(1 << 20)
    assert "transfer-encoding" not in asked.headers
    assert asked.body == path.read_bytes()
    assert told[-1] == (1 << 20, 1 << 20)
    assert len(told) == 4


def test_bytes_files_and_pipes_are_sent_from_where_they_stand() -> None:
    file = io.BytesIO(b"skipped:image")
    file.seek(8)
    with far_side(json_reply(make_job(JobStatus.QUEUED), 202)) as side, Client(side.url) as client:
        client.submit(b"image", "mitonet", filename="a.png")
        client.submit(file, "mitonet")
    assert [asked.body for asked in side.asked] == [b"image", b"image"]
    assert [asked.query["filename"] for asked in side.asked] == ["a.png", "image"]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "float32"])
def test_an_array_is_sent_as_a_tiff_of_its_type(dtype: str) -> None:
    image = (np.arange(20).reshape(4, 5) % 2).astype(dtype)
    with far_side(json_reply(make_job(JobStatus.QUEUED), 202)) as side, Client(side.url) as client:
        client.submit(image[:, ::-1], "mitonet")
    arrived = tifffile.imread(io.BytesIO(side.asked[0].body))
    assert arrived.dtype == dtype
    np.testing.assert_array_equal(arrived, image[:, ::-1])


def test_an_array_of_three_axes_is_sent_as_slices_and_a_folder_as_a_zip(tmp_path: Path) -> None:
    volume = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    folder = tmp_path / "cell"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "1.png").write_bytes(b"one")
    replies = [json_reply(make_job(JobStatus.QUEUED), 202)] * 2
    with far_side(*replies) as side, Client(side.url) as client:
        client.submit(volume, "mitonet")
        client.submit(folder, "mitonet")
    with tifffile.TiffFile(io.BytesIO(side.asked[0].body)) as file:
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), volume)
    with zipfile.ZipFile(io.BytesIO(side.asked[1].body)) as archive:
        assert (archive.namelist(), archive.read("inner/1.png")) == (["inner/1.png"], b"one")
    assert side.asked[1].query["filename"] == "cell.zip"


def test_files_older_than_zips_are_sent(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        (tmp_path / name).write_bytes(b"x")
        os.utime(tmp_path / name, (0, 0))
    with far_side(json_reply(make_job(JobStatus.QUEUED), 202)) as side, Client(side.url) as client:
        client.submit(tmp_path, "mitonet")
    assert zipfile.ZipFile(io.BytesIO(side.asked[0].body)).namelist() == ["1.png", "2.png"]


def test_of_a_folder_only_slices_or_a_zarr_are_sent(tmp_path: Path) -> None:
    (tmp_path / "slices" / ".ssh").mkdir(parents=True)
    for name in ("2.tif", "1.PNG", "notes.txt", ".hidden.png", ".ssh/id.png"):
        (tmp_path / "slices" / name).write_bytes(b"x")
    cell = tmp_path / "project" / "cell.zarr"
    make_zarr(cell)
    for name in (".env", ".secret.zarr/.zgroup", "private/patients.csv"):
        (tmp_path / "project" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "project" / name).write_bytes(b"x")
    with far_side(json_reply(make_job(JobStatus.QUEUED), 202)) as side, Client(side.url) as client:
        client.submit(tmp_path / "slices", "mitonet")
        client.submit(cell, "mitonet")
        client.submit(tmp_path / "project", "mitonet")
    names = [zipfile.ZipFile(io.BytesIO(asked.body)).namelist() for asked in side.asked]
    of_zarr = [".zattrs", ".zgroup", "0/.zarray", "0/0.0"]
    assert names == [["1.PNG", "2.tif"], of_zarr, [f"cell.zarr/{name}" for name in of_zarr]]


def make_zarr(folder: Path) -> None:
    (folder / "0").mkdir(parents=True)
    for name in (".zgroup", ".zattrs", "0/.zarray", "0/0.0"):
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize("other", ["b.zarr", "slice.tif"])
def test_a_folder_of_several_images_is_not_sent(other: str, tmp_path: Path) -> None:
    make_zarr(tmp_path / "a.zarr")
    if other.endswith(".zarr"):
        make_zarr(tmp_path / other)
    else:
        (tmp_path / other).write_bytes(b"x")
    with far_side(json_reply(make_job())) as side, Client(side.url) as client:
        with pytest.raises(UnusableImage, match=f"a.zarr, {other}"):
            client.submit(tmp_path, "mitonet")
        assert side.asked == []


@pytest.mark.parametrize("image", ["", "folder"])
def test_what_lies_in_some_folder_is_not_sent(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "letter.txt").write_bytes(b"private")
    with far_side(json_reply(make_job())) as side, Client(side.url) as client:
        with pytest.raises(UnusableImage, match="empty" if not image else "neither an OME-Zarr nor"):
            client.submit(image, "mitonet")
        assert side.asked == []


@pytest.mark.parametrize(
    "image",
    [None, 5, ["a.tif"], [[1, 2], [3, 4]], io.StringIO("text"), (each for each in "ab")],
    ids=["none", "number", "paths", "lists", "text", "generator"],
)
def test_what_is_no_image_is_named(image: Any) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(UnusableImage, match="An image is a path"):
        client.submit(image, "mitonet")


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_bytes_of_every_kind_are_sent(kind: Callable[[bytes], bytearray | memoryview]) -> None:
    with far_side(json_reply(make_job(JobStatus.QUEUED), 202)) as side, Client(side.url) as client:
        client.submit(kind(b"image"), "mitonet")
    assert side.asked[0].body == b"image"


def test_a_mask_is_not_dropped_without_a_word() -> None:
    image = np.ma.masked_less(np.arange(20, dtype=np.uint8).reshape(4, 5), 3)
    with Client("http://127.0.0.1:9") as client, pytest.raises(UnusableImage, match=r"array\.filled"):
        client.submit(image, "mitonet")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda client: client.submit(b"x", "mitonet", params='{"min_size": 3}'), "are a dictionary"),
        (lambda client: client.submit(b"x", "mitonet", params=[1]), "are a dictionary"),
        (lambda client: client.submit(b"x", "mitonet", tags="a:1"), "tags"),
        (lambda client: client.submit(b"x", "mitonet", tags=["a"]), "tags"),
        (lambda client: client.submit(b"x", "mitonet", tags={"a": np.int64(1)}), "tag's value is a text"),
        (lambda client: client.submit(b"x", "mitonet", tags={"a:b": "1"}), "colon"),
        (lambda client: client.submit(b"x", None), "A model is named by its id"),
        (lambda client: client.labels(make_job()), "give its `id`, 0199-a"),
        (lambda client: client.job(None), "not by NoneType"),
        (lambda client: client.job(""), "named by its id"),
        (lambda client: client.delete(""), "named by its id"),
        (lambda client: client.model(""), "named by its id"),
        (lambda client: list(client.jobs(created_after="2026-01-01")), "is a datetime"),
    ],
)
def test_what_is_meant_otherwise_is_told_before_anything_is_sent(
    call: Callable[[Any], object], said: str
) -> None:
    with far_side(json_reply(make_job())) as side, Client(side.url) as client:
        with pytest.raises(InvalidParameters, match=said):
            call(client)
        assert side.asked == []


@pytest.mark.parametrize("timeout", [None, "5", -1, 0, float("inf"), float("nan")])
def test_a_timeout_that_is_none_is_told_at_once(timeout: Any) -> None:
    with pytest.raises(InvalidParameters, match="`timeout` is a number of seconds"):
        Client(timeout=timeout)


def test_an_address_that_is_no_text_is_told_at_once() -> None:
    wrong: Any = 5
    with pytest.raises(BadAddress, match="is a text"):
        Client(wrong)


def test_a_wait_without_an_end_is_as_long_as_the_service_waits() -> None:
    with far_side(json_reply(make_job())) as side, Client(side.url) as client:
        client.job("0199-a", wait=float("inf"))
    assert side.asked[0].headers["prefer"] == "wait=60"


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (7,), (0, 5), (40, 50, 1), (40, 50, 2), (40, 50, 3)])
def test_an_array_that_is_no_grey_image_is_not_sent(shape: tuple[int, ...]) -> None:
    with Client("http://127.0.0.1:9") as client, pytest.raises(UnusableImage, match=r"\(H, W\)"):
        client.submit(np.zeros(shape, np.uint8), "mitonet")


def test_a_refusal_before_the_body_was_read_is_still_told() -> None:
    refusal = Reply(413, make_problem(413).model_dump_json().encode(), reads_body=False)
    with far_side(refusal) as side, Client(side.url) as client, pytest.raises(ApiError) as refused:
        client.submit(b"x" * 10_000_000, "mitonet")
    assert refused.value.status == 413


def test_a_post_is_sent_once() -> None:
    busy = Reply(503, make_problem(503).model_dump_json().encode(), {"Retry-After": "0"})
    with far_side(busy) as side, Client(side.url) as client, pytest.raises(ApiError):
        client.submit(b"image", "mitonet")
    assert len(side.asked) == 1


def test_a_busy_service_is_asked_again() -> None:
    busy = Reply(503, b"", {"Retry-After": "0"})
    with far_side(busy, busy, json_reply(make_job())) as side, Client(side.url) as client:
        assert client.job("0199-a").id == "0199-a"
    assert len(side.asked) == 3


def test_a_service_that_is_not_there_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, yet nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url) as client, pytest.raises(ServiceUnreachable, match=url):
            client.submit(b"image", "mitonet")


def test_silence_is_an_error_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            Client(url, timeout=0.2) as client,
            pytest.raises(ServiceUnreachable, match=r"silent for 0\.2 s"),
        ):
            client.job("a")


def test_silence_does_not_end_a_wait() -> None:
    replies = (json_reply(make_job(JobStatus.RUNNING)), Reply(is_silent=True), json_reply(make_job()))
    with far_side(*replies) as side, Client(side.url, timeout=1) as client:
        assert client.wait("0199-a", on_progress=lambda _: None).status is JobStatus.SUCCEEDED
    assert len(side.asked) >= 3


def test_a_wait_for_who_stays_silent_ends_in_its_time() -> None:
    with far_side(Reply(is_silent=True)) as side, Client(side.url, timeout=0.2) as client:
        with pytest.raises(ServiceUnreachable, match=r"silent for 0\.2 s"):
            client.wait("0199-a", timeout=0.5)
        assert len(side.asked) <= 2


def test_a_connection_that_is_not_made_in_time_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ThreadPoolExecutor() as threads:
        other = socket.create_connection(listener.getsockname())  # nobody else gets in until it is accepted
        listener.settimeout(10)

        def answer() -> None:
            time.sleep(1.5)  # longer than the client waits for its first connection
            other.close()
            while not (connection := listener.accept()[0]).recv(1 << 16):
                connection.close()
            with connection:
                body = make_job().model_dump_json().encode()
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

        answering = threads.submit(answer)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, timeout=1) as client:
            assert client.job("0199-a").id == "0199-a"
        answering.result()


def test_something_else_on_the_port_is_recognised() -> None:
    page = Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"})
    with far_side(page) as side, Client(side.url) as client, pytest.raises(UnexpectedAnswer, match=side.url):
        client.models()


def test_jobs_are_asked_for_page_by_page_up_to_the_limit() -> None:
    first = JobPage(jobs=[make_job(job_id="c"), make_job(job_id="b")], next_page_token="t")  # a cursor
    second = JobPage(jobs=[make_job(job_id="a")], next_page_token="u")  # the same
    pages = [json_reply(page.model_dump_json().encode()) for page in (first, second)]
    with far_side(*pages) as side, Client(side.url) as client:
        found = [job.id for job in client.jobs(status="succeeded", tag="a:b", limit=3)]
    assert found == ["c", "b", "a"]
    assert side.asked[0].query == {"status": "succeeded", "tag": "a:b", "page_size": "3"}
    assert side.asked[1].query == {"status": "succeeded", "tag": "a:b", "page_size": "1", "page_token": "t"}


def test_a_job_is_deleted_once_an_answer_comes() -> None:
    with far_side(Reply(503, b"", {"Retry-After": "0"}), Reply(204)) as side, Client(side.url) as client:
        client.delete("a/b")
    assert [(asked.method, asked.path) for asked in side.asked] == [("DELETE", "/v1/jobs/a%2Fb")] * 2


def test_labels_come_as_an_array() -> None:
    labels = np.arange(20, dtype=np.uint8).reshape(4, 5)
    with far_side(result(npy(labels))) as side, Client(side.url) as client:
        np.testing.assert_array_equal(client.labels("a"), labels)
    assert side.asked[0].path == "/v1/jobs/a/labels"
    assert side.asked[0].query == {"format": "npy"}
    assert side.asked[0].headers["accept-encoding"] == "identity"


def test_labels_are_never_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with (
        far_side(result(file.getvalue())) as side,
        Client(side.url) as client,
        pytest.raises(UnexpectedAnswer),
    ):
        client.labels("a")


def test_a_saved_file_appears_whole(tmp_path: Path) -> None:
    with far_side(result(b"tiff")) as side, Client(side.url) as client:
        client.save("a", "labels", tmp_path / "out.tif")
        client.save("a", "preview", tmp_path / "out.png")
        client.save("a", "labels", tmp_path / "plain", format="tiff")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "out.tif": b"tiff",
        "out.png": b"tiff",
        "plain": b"tiff",
    }
    assert [asked.query for asked in side.asked] == [{"format": "ome-tiff"}, {}, {"format": "tiff"}]
    assert side.asked[1].path == "/v1/jobs/a/preview.png"


def test_a_damaged_file_does_not_replace_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "out.tif").write_bytes(b"good")
    with (
        far_side(result(b"damaged", b"announced")) as side,
        Client(side.url) as client,
        pytest.raises(CorruptAnswer, match="labels of the job a arrived damaged"),
    ):
        client.save("a", "labels", tmp_path / "out.tif")
    assert [path.name for path in tmp_path.iterdir()] == ["out.tif"]
    assert (tmp_path / "out.tif").read_bytes() == b"good"


def test_a_download_that_broke_off_is_begun_again(tmp_path: Path) -> None:
    whole = result(b"x" * 100_000)
    with (
        far_side(Reply(200, whole.body, whole.headers, cut_at=70_000), whole) as side,
        Client(side.url) as client,
    ):
        client.save("a", "labels", tmp_path / "out.npy")
    assert (tmp_path / "out.npy").read_bytes() == whole.body


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    with far_side(result(b"bytes")) as side, Client(side.url) as client:
        path = client.save("a", "labels", tmp_path / "new" / "deep" / "out.npy")
    assert path.read_bytes() == b"bytes"


def test_a_refusal_leaves_no_file_and_no_folder(tmp_path: Path) -> None:
    with far_side(json_reply(make_problem(409), 409)) as side, Client(side.url) as client:
        with pytest.raises(ApiError):
            client.save("a", "objects", tmp_path / "out.csv")
        with pytest.raises(ApiError):
            client.save("a", "objects", tmp_path / "new" / "deep" / "out.csv")
        with pytest.raises(IsADirectoryError, match=tmp_path.name):
            client.save("a", "objects", tmp_path, format="csv")
        with pytest.raises(UnknownFormat):
            client.save("a", "objects", tmp_path / "out.xls")
    assert list(tmp_path.iterdir()) == []


def test_objects_are_rows() -> None:
    body = b'{"count": 1, "objects": [{"label": 1, "area_px": 2.5, "area_nm2": null}]}'
    with far_side(json_reply(body)) as side, Client(side.url) as client:
        assert client.objects("a") == [{"label": 1, "area_px": 2.5, "area_nm2": None}]


def test_models_of_a_newer_service_are_understood() -> None:
    body = b'{"models": [{"id": "m@1", "name": "m", "version": "1", "state": "frozen", "speed": {"cpu": 1}}]}'
    with far_side(json_reply(body)) as side, Client(side.url) as client:
        assert [(model.id, model.state) for model in client.models()] == [("m@1", "frozen")]


def test_segment_goes_the_whole_way() -> None:
    labels = np.array([[0, 1], [2, 2]], np.uint8)
    replies = [
        json_reply(make_job(JobStatus.QUEUED), 202),
        json_reply(make_job()),
        result(npy(labels)),
        json_reply(b'{"objects": [{"label": 1}, {"label": 2}]}'),
    ]
    with far_side(*replies) as side, Client(side.url) as client:
        segmentation = client.segment(b"image", "mitonet")
    np.testing.assert_array_equal(segmentation.labels, labels)
    assert len(segmentation.objects) == 2
    assert segmentation.job.status is JobStatus.SUCCEEDED
    assert side.asked[1].headers["prefer"] == "wait=60"


def test_segment_raises_what_the_job_died_of() -> None:
    replies = [json_reply(make_job(JobStatus.QUEUED), 202), json_reply(make_job(JobStatus.FAILED))]
    with far_side(*replies) as side, Client(side.url) as client, pytest.raises(JobFailed, match="12 bytes"):
        client.segment(b"image", "mitonet")
