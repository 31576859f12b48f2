"""Folders for what is needed only while a process works, each locked by that process."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
    with _locked(parent):
        for folder in [each for each in parent.iterdir() if each.is_dir()]:
            with suppress(BlockingIOError, FileNotFoundError):
                os.close(_open_locked(folder, fcntl.LOCK_NB))
                shutil.rmtree(folder, ignore_errors=True)


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
