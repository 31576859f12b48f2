"""The signals that end `emserve up`, and the children that end beside it, as something to wait for."""

import contextlib
import os
import select
import signal
from types import FrameType
from typing import Self

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Counts the wishes to end; `wait` returns early at one of them and when a child ended."""

    def __init__(self) -> None:
        self.wishes = 0
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN or number != signal.SIGHUP:  # nohup
                signal.signal(number, self._count)
        signal.signal(signal.SIGCHLD, _notice)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def wait(self, seconds: float) -> None:
        readable, _, _ = select.select([self._read_fd], [], [], seconds)
        if readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._read_fd, 4096)

    def close(self) -> None:
        """Gives every signal its usual meaning back."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _count(self, number: int, _frame: FrameType | None) -> None:
        # A closing terminal says so more than once, and is in no hurry.
        self.wishes = max(1, self.wishes) if number == signal.SIGHUP else self.wishes + 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _notice(_number: int, _frame: FrameType | None) -> None:
    """Only a signal with a handler wakes `wait`."""
