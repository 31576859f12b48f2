"""Scratch folders: ours while we live, swept when we are gone."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emserve.scratch import ScratchUnusable, probe, scratch_folder, sweep

_HOLDER = """
import sys, pathlib
from emserve.scratch import scratch_folder
with scratch_folder(pathlib.Path(sys.argv[1]), "held") as folder:
    (folder / "image.npy").write_bytes(b"pixels")
    print("ready", flush=True)
    sys.stdin.read()
"""

_SWEEPER = """
import sys, pathlib
from emserve.scratch import sweep
sweep(pathlib.Path(sys.argv[1]))
"""


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "scratch", "one") as folder:
        (folder / "image.npy").write_bytes(b"pixels")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_scratch_folder_that_can_be_used_is_left_as_it_was(tmp_path: Path) -> None:
    probe(tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_scratch_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "file/scratch"):
        with pytest.raises(ScratchUnusable, match=f"{tmp_path}/{name}, in which"):
            probe(tmp_path / name)


def test_a_sweep_removes_what_the_dead_left_and_nothing_of_the_living(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        with scratch_folder(tmp_path, "ours") as ours:
            sweep(tmp_path)
            assert (tmp_path / "held" / "image.npy").exists()
            holder.kill()
            holder.wait()
            sweep(tmp_path)
            assert list(tmp_path.iterdir()) == [ours]


def _much_left_in(parent: Path) -> Path:
    """A folder of nobody, which takes a while to remove."""
    left = parent / "left"
    left.mkdir()
    for number in range(20_000):
        (left / str(number)).touch()
    return left


def _is_locked(folder: Path) -> bool:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_nobody_waits_for_a_folder_while_a_sweep_removes_what_it_found(tmp_path: Path) -> None:
    for _ in range(5):  # a sweep may be over before it can be stopped
        left = _much_left_in(tmp_path)
        with subprocess.Popen([sys.executable, "-c", _SWEEPER, str(tmp_path)]) as sweeper:
            try:
                while left.exists():
                    time.sleep(0.001)
                time.sleep(0.01)  # in which it gives the lock back
                sweeper.send_signal(signal.SIGSTOP)
                in_the_midst = any(tmp_path.glob("swept-*")) and not _is_locked(tmp_path)
                if in_the_midst:
                    with scratch_folder(tmp_path, "ours") as ours:
                        assert ours.is_dir()
            finally:
                sweeper.send_signal(signal.SIGCONT)
        assert list(tmp_path.iterdir()) == []
        if in_the_midst:
            return
    pytest.fail("no sweep was stopped while it removed anything")


def test_a_sweep_ends_what_a_killed_one_began(tmp_path: Path) -> None:
    left = _much_left_in(tmp_path)
    command = [sys.executable, "-c", _SWEEPER, str(tmp_path)]
    with subprocess.Popen(command) as sweeper:
        while left.exists():
            time.sleep(0.001)
        sweeper.kill()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_of_a_folder_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
