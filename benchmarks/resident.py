"""How much memory a process has taken."""

import os
import resource
from pathlib import Path

import psutil


def peak_bytes(pid: int | None = None) -> int:
    """Largest resident size so far, of this process or of another; on a Mac another's present size."""
    status = Path(f"/proc/{pid or os.getpid()}/status")
    if status.exists():  # Linux's ru_maxrss has in it the size of the process that started this one
        lines = status.read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))
    if pid is not None:
        return int(psutil.Process(pid).memory_info().rss)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on a Mac
