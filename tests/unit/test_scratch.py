"""Scratch folders: ours while we live, swept when we are gone."""

import subprocess
import sys
from pathlib import Path

from emserve.scratch import scratch_folder, sweep

_HOLDER = """
import sys, pathlib
from emserve.scratch import scratch_folder
with scratch_folder(pathlib.Path(sys.argv[1]), "held") as folder:
    (folder / "image.npy").write_bytes(b"pixels")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "scratch", "one") as folder:
        (folder / "image.npy").write_bytes(b"pixels")
    assert list((tmp_path / "scratch").iterdir()) == []


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


def test_a_sweep_of_a_folder_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    sweep(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
