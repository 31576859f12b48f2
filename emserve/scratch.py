"""Folders for what is needed only while a process works, each locked by that process."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emserve.errors import EmserveError
from emserve.ids import new_id
from emserve.storage import is_full

_SWEPT = "swept-"  # what a sweep found dead and removes


class ScratchUnusable(EmserveError):
    title = "The scratch folder cannot be used"

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The folder {folder}, in which jobs keep what they need while they run, cannot be used: "
            f"{reason}. It must be a folder, or lead to one, that the service's user may write to; where "
            "there is none, it is made."
        )


def probe(parent: Path) -> None:
    """Makes and removes a folder with a file in `parent`. Raises ScratchUnusable, but not for a full disk,
    which has limits of its own."""
    try:
        with scratch_folder(parent, f"probe-{new_id()}") as folder:
            (folder / "probe").write_bytes(b"usable?")
    except OSError as error:
        if not is_full(error):
            is_lost = parent.is_symlink() and not parent.exists()
            reason = (
                f"it leads to {parent.readlink()}, which is not there" if is_lost else str(error.strerror)
            )
            raise ScratchUnusable(parent, reason) from error


@contextmanager
def scratch_folder(parent: Path, name: str) -> Iterator[Path]:
    """A folder of our own in `parent`, gone afterwards; after a kill it stays until somebody sweeps."""
    folder = parent / name
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent):  # no sweep may come between making it and locking it
        folder.mkdir(exist_ok=True)
        own = _open_locked(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(own)


def sweep(parent: Path) -> None:
    """Removes the folders that dead processes left in `parent`; the locks of the living hold."""
    if not parent.is_dir():
        return
    swept = []
    with _locked(parent):
        for folder in [each for each in parent.iterdir() if each.is_dir()]:
            with suppress(OSError):  # locked, gone, or not to be moved: then it stays until the next sweep
                swept.append(_aside(folder))
    # A volume leaves so much that nobody may wait for a folder of its own until it is gone. A sweep that is
    # killed here leaves the rest to the next one.
    for folder in swept:
        shutil.rmtree(folder, ignore_errors=True)


def _aside(folder: Path) -> Path:
    """A dead folder under a name by which nobody takes it for theirs. Raises BlockingIOError for a living
    one."""
    if folder.name.startswith(_SWEPT):
        return folder
    os.close(_open_locked(folder, fcntl.LOCK_NB))
    return folder.rename(folder.with_name(f"{_SWEPT}{new_id()}"))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = _open_locked(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _open_locked(folder: Path, flags: int = 0) -> int:
    """An open descriptor that holds the lock on `folder`. Raises BlockingIOError with LOCK_NB."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | flags)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
