"""The processes that read and render, as real ones: answers, limits, deaths."""

import contextlib
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from emserve.errors import (
    HelperDied,
    ImageTooLarge,
    NotAcceptable,
    ServiceStopping,
    StorageUnavailable,
    UnreadableImage,
    UnsuitableImage,
    UnsupportedMediaType,
)
from emserve.imaging import Decode, Inspect, Refused, Render, ResultFormat
from emserve.imaging_pool import ImagingPool
from emserve.jobs import ImageSource

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture
def small_pool() -> Iterator[Callable[..., ImagingPool]]:
    """Makes pools of one process, and closes them."""
    pools: list[ImagingPool] = []

    def make(memory_bytes: int = 2 * 1024**3, cpu_seconds: int = 60) -> ImagingPool:
        pools.append(ImagingPool(size=1, memory_bytes=memory_bytes, cpu_seconds=cpu_seconds))
        return pools[-1]

    yield make
    for each in pools:
        each.close()


def inspection(folder: Path, key: str = "input", max_pixels: int = 10**6) -> Inspect:
    return Inspect(
        storage_url=folder.as_uri(),
        key=key,
        source=ImageSource(),
        max_pixels=max_pixels,
        max_voxels=10**12,
        max_pages=10,
    )


def decoding(folder: Path, key: str = "input") -> Decode:
    return Decode(storage_url=folder.as_uri(), key=key, source=ImageSource(), out=folder / "out.npy")


def png_of(width: int, height: int, chunks: bytes) -> bytes:
    """A grey PNG with this header and these chunks, whatever they decode to."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunks + chunk(b"IEND", b"")


def chunk(name: bytes, value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        # A zombie whose threads are still ending cannot be waited for yet, and counts as alive.
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                time.sleep(0.02)
                continue
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.02)
                continue
        return True
    return False


def _warm(small_pool: Callable[..., ImagingPool], folder: Path) -> tuple[ImagingPool, int]:
    """A pool whose only process has looked at `input`, and that process's id."""
    pool = small_pool()
    tifffile.imwrite(folder / "input", GREY)
    pool.call(inspection(folder), timeout_s=30)
    (pid,) = pool.process_ids
    return pool, pid


def test_header_and_pixels_come_back_typed(pool: ImagingPool, folder: Path) -> None:
    tifffile.imwrite(folder / "input", GREY)
    header = pool.call(inspection(folder), timeout_s=30)
    assert (header.format, header.shape, header.axes, header.dtype) == ("tiff", [3, 4], "YX", "uint8")
    decoded = pool.call(decoding(folder), timeout_s=30)
    assert (decoded.shape, decoded.dtype) == ([3, 4], "uint8")
    np.testing.assert_array_equal(np.load(decoded.path), GREY)


def test_errors_are_raised_again_as_what_they_were(pool: ImagingPool, folder: Path) -> None:
    (folder / "text").write_text("no image at all")
    with pytest.raises(UnsupportedMediaType, match="send a TIFF"):
        pool.call(inspection(folder, "text"), timeout_s=30)
    tifffile.imwrite(folder / "input", GREY)
    with pytest.raises(ImageTooLarge, match="12 pixels") as caught:
        pool.call(inspection(folder, max_pixels=11), timeout_s=30)
    assert (caught.value.given, caught.value.limit) == (12, 11)
    tifffile.imwrite(folder / "colour", np.zeros((8, 9, 3), np.uint8), photometric="rgb")
    with pytest.raises(UnsuitableImage) as unsuitable:
        pool.call(inspection(folder, "colour"), timeout_s=30)
    assert [each.pointer for each in unsuitable.value.errors] == ["/params/channel"]


def test_every_error_survives_the_journey() -> None:
    error = Refused.of(NotAcceptable("no")).error()
    assert type(error) is NotAcceptable
    assert str(error) == error.for_operators == "no"
    away = Refused.of(StorageUnavailable("away", cause="(SlowDown)")).error()
    assert type(away) is StorageUnavailable
    assert (str(away), away.for_operators) == ("away", "away (SlowDown)")


def test_an_unexpected_exception_shows_no_internals(
    small_pool: Callable[..., ImagingPool], folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(folder / "input", np.zeros((8, 9), np.uint8))
    nowhere = decoding(folder).model_copy(update={"out": folder / "not there" / "out.npy"})
    with pytest.raises(HelperDied) as caught:
        small_pool().call(nowhere, timeout_s=30)
    assert "FileNotFoundError" not in str(caught.value)
    assert "FileNotFoundError" in capfd.readouterr().err


def test_a_process_is_used_again_and_replaced_when_it_dies_between_requests(
    small_pool: Callable[..., ImagingPool], folder: Path
) -> None:
    pool = small_pool()
    assert pool.process_ids == []
    tifffile.imwrite(folder / "input", GREY)
    pool.call(inspection(folder), timeout_s=30)
    (first,) = pool.process_ids
    pool.call(inspection(folder), timeout_s=30)
    assert pool.process_ids == [first]
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    pool.call(inspection(folder), timeout_s=30)
    assert pool.process_ids != [first]


def test_a_process_killed_while_it_starts_is_nobodys_fault_and_replaced(
    small_pool: Callable[..., ImagingPool], folder: Path
) -> None:
    tifffile.imwrite(folder / "input", GREY)
    others = set(psutil.Process().children())
    killed: list[psutil.Process] = []

    def kill_the_first() -> None:
        deadline = time.monotonic() + 20
        while not killed and time.monotonic() < deadline:
            for process in set(psutil.Process().children()) - others:
                process.kill()
                killed.append(process)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    header = small_pool().call(inspection(folder), timeout_s=30)
    killer.join()
    assert killed
    assert header.shape == [3, 4]


def test_a_process_killed_in_mid_request_is_the_images_fault_and_replaced(
    small_pool: Callable[..., ImagingPool], folder: Path
) -> None:
    pool, pid = _warm(small_pool, folder)
    os.kill(pid, signal.SIGSTOP)  # so that the request is under way when the process dies
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(UnreadableImage, match="SIGKILL"):
        pool.call(inspection(folder), timeout_s=30)
    killer.join()
    assert pool.call(inspection(folder), timeout_s=30).shape == [3, 4]


def _write_endless(path: Path) -> None:
    """A PNG that is read for minutes."""
    with path.open("wb") as file:
        file.write(png_of(4, 4, b"")[:33])
        file.truncate(1 << 30)  # zeros, which read as ninety million empty chunks


def test_what_takes_too_long_is_killed(small_pool: Callable[..., ImagingPool], folder: Path) -> None:
    pool, pid = _warm(small_pool, folder)
    _write_endless(folder / "endless")
    with pytest.raises(UnreadableImage, match=r"1 s\b"):
        pool.call(inspection(folder, "endless"), timeout_s=1)
    assert gone(pid)
    assert pool.call(inspection(folder), timeout_s=30).shape == [3, 4]


def test_a_process_that_waits_for_the_storage_is_not_the_users_fault(
    small_pool: Callable[..., ImagingPool], folder: Path
) -> None:
    pool, pid = _warm(small_pool, folder)
    os.kill(pid, signal.SIGSTOP)  # it computes as little as one that waits
    with pytest.raises(StorageUnavailable, match=r"0\.2 s and hardly computed"):
        pool.call(inspection(folder), timeout_s=0.2)
    assert gone(pid)
    assert pool.call(inspection(folder), timeout_s=30).shape == [3, 4]


def test_a_rendering_that_dies_is_not_the_users_fault(
    small_pool: Callable[..., ImagingPool], folder: Path
) -> None:
    pool, pid = _warm(small_pool, folder)
    os.kill(pid, signal.SIGSTOP)
    killer = threading.Timer(0.2, os.kill, (pid, signal.SIGKILL))
    request = Render(
        storage_url=folder.as_uri(),
        job_id="j",
        execution_id="e",
        format=ResultFormat.NPY,
        source=ImageSource(),
        scratch_dir=folder / "scratch",
    )
    killer.start()
    with pytest.raises(HelperDied, match="SIGKILL"):
        pool.call(request, timeout_s=30)
    killer.join()


def test_computing_is_limited_for_each_request(small_pool: Callable[..., ImagingPool], folder: Path) -> None:
    pool = small_pool(cpu_seconds=1)
    _write_endless(folder / "endless")
    with pytest.raises(UnreadableImage, match="1 s of computing"):
        pool.call(inspection(folder, "endless"), timeout_s=30)
    tifffile.imwrite(folder / "input", GREY)
    assert pool.call(inspection(folder), timeout_s=30).shape == [3, 4]


def test_requests_of_many_threads_get_their_own_answers(pool: ImagingPool, folder: Path) -> None:
    for side in range(1, 21):
        tifffile.imwrite(folder / f"{side}", np.zeros((side, 7), np.uint8))
    with ThreadPoolExecutor(8) as threads:
        requests = [inspection(folder, f"{side}") for side in range(1, 21)]
        headers = list(threads.map(lambda each: pool.call(each, timeout_s=30), requests))
    assert [each.shape for each in headers] == [[side, 7] for side in range(1, 21)]
    assert len(pool.process_ids) <= 2


def test_processes_outlive_the_thread_that_asked_first(
    small_pool: Callable[..., ImagingPool], folder: Path
) -> None:
    pool = small_pool()
    tifffile.imwrite(folder / "input", GREY)
    asker = threading.Thread(target=pool.call, args=(inspection(folder), 30))
    asker.start()
    asker.join()
    (pid,) = pool.process_ids
    time.sleep(0.2)
    pool.call(inspection(folder), timeout_s=30)
    assert pool.process_ids == [pid]


def test_processes_end_with_their_parent(folder: Path) -> None:
    tifffile.imwrite(folder / "input", GREY)
    script = (
        "import sys, time\n"
        "from emserve.imaging import Inspect\nfrom emserve.imaging_pool import ImagingPool\n"
        "pool = ImagingPool(1, 2**31, 60)\n"
        "pool.call(Inspect.model_validate_json(sys.argv[1]), 30)\n"
        "print(pool.process_ids[0], flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, inspection(folder).model_dump_json()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    assert gone(pid)


def test_closing_ends_every_process_and_what_waits(
    small_pool: Callable[..., ImagingPool], folder: Path
) -> None:
    pool, pid = _warm(small_pool, folder)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.call, inspection(folder), 30)
        time.sleep(0.2)
        pool.close()
        assert isinstance(waiting.exception(timeout=10), ServiceStopping)
    assert gone(pid)
    with pytest.raises(ServiceStopping):
        pool.call(inspection(folder), timeout_s=30)
