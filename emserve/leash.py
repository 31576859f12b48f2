"""Ties a program that knows nothing of us to the life of the process that starts it.

Run as a file, with the standard library alone: `python -I -S leash.py LIFELINE_FD PROGRAM ARGUMENT…`.
The lifeline is the reading end of a pipe whose writing end only the starter holds: it is at its end of
file as soon as the starter is gone, however it went.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

LIFELINE = "EMSERVE_LIFELINE_FD"
"""The variable that names the lifeline to a part which watches it itself."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_signal_from_kernel(signum: int = signal.SIGTERM) -> bool:
    """Asks the kernel for a signal when the parent ends; False where it cannot (anything but Linux)."""
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signum)) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    return True


def parent_is_gone(lifeline: int, wait_seconds: float | None = 0) -> bool:
    """Whether the lifeline is at its end of file; waits for that up to `wait_seconds`, or for ever."""
    readable, _, _ = select.select([lifeline], [], [], wait_seconds)
    return bool(readable)


def follow(lifeline: int, command: Sequence[str]) -> int:
    """Runs `command` as a child and ends it with the parent: for systems whose kernel sends no signal."""
    child = subprocess.Popen(command)

    def forward(signum: int, _frame: FrameType | None) -> None:
        child.send_signal(signum)

    signal.signal(signal.SIGTERM, forward)
    while (code := child.poll()) is None:
        if parent_is_gone(lifeline, wait_seconds=0.2):
            child.terminate()
            return child.wait()
    return code


def main() -> None:
    lifeline, command = int(sys.argv[1]), sys.argv[2:]
    os.environ.pop(LIFELINE, None)  # neither the program nor what it starts shall take it for its own
    if not end_signal_from_kernel():
        sys.exit(follow(lifeline, command))
    # The starter may have died before the kernel was asked.
    if not parent_is_gone(lifeline):
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
