"""Processes that must not outlive the one that started them."""

import os
import signal
import threading
import time

from emserve.leash import end_signal_from_kernel

_LOOK_SECONDS = 1.0


def die_with_parent() -> None:
    """Ends this process, at once, when its parent is gone, however that went.

    On Linux the kernel sees to it, when the thread that started this process ends; elsewhere a
    thread looks every second. A parent that died before this call shows as the end of file of
    whatever channel leads to it.
    """
    parent = os.getppid()
    end_signal_from_kernel(signal.SIGKILL)
    threading.Thread(target=_look_for, args=(parent,), name="parent-watch", daemon=True).start()


def _look_for(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_SECONDS)
    os._exit(1)
