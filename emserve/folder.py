"""The lock on a data folder: one service with a broker of its own, or several that share another's."""

import contextlib
import fcntl
import os
import time
from pathlib import Path
from typing import Self

import psutil

from emserve.errors import EmserveError

_ORPHAN_SECONDS = 10  # how long a broker may take to end after its service was killed


class FolderInUse(EmserveError):
    title = "The data folder is in use"

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"The data folder {folder} is in use by process {holder}. Stop that one, choose another folder "
            "with --data-dir, or let both share one server with --redis."
        )


class FolderUnusable(EmserveError):
    title = "The data folder cannot be used"

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(f"The folder {folder} cannot be used: {reason}. Choose another with --data-dir.")


class FolderLock:
    """A lock that lasts as long as a process holds its descriptor; `.lock` names the process that took it."""

    def __init__(self, folder: Path, *, shared: bool) -> None:
        self._folder = folder
        self._shared = shared
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The descriptor. A child that inherits it keeps the folder locked, even when we are killed."""
        if self._fd is None:
            raise RuntimeError("the lock is not taken")
        return self._fd

    def take(self) -> None:
        """Locks the folder, which is made if it is not there. FolderInUse when another holds it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise FolderUnusable(self._folder, str(error.strerror)) from error
        deadline = time.monotonic() + _ORPHAN_SECONDS
        while not self._try():
            holder = self._holder()
            if _is_running(holder) or time.monotonic() > deadline:
                self.release()
                raise FolderInUse(self._folder, holder or "unknown")
            time.sleep(0.05)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _try(self) -> bool:
        kind = fcntl.LOCK_SH if self._shared else fcntl.LOCK_EX
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(self.fd, kind | fcntl.LOCK_NB)
            return True
        return False

    def _holder(self) -> str:
        return os.pread(self.fd, 32, 0).decode(errors="replace").strip()

    def __enter__(self) -> Self:
        self.take()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _is_running(pid: str) -> bool:
    return pid.isdecimal() and psutil.pid_exists(int(pid))
