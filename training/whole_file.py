"""Files that are there as a whole or not at all."""

import errno
import os
from pathlib import Path

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_whole(path: Path, content: bytes | memoryview, *, several_writers: bool = False) -> None:
    """Writes a file, and its folder where there is none; a kill in the middle leaves what was there before.

    `several_writers`: other processes may write it at the same time. Raises OSError, and leaves nothing then.
    """
    writer = f".{os.getpid()}" if several_writers else ""
    partial = path.with_name(f"{path.name}{writer}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)  # on a full disk it is in the way


def why_not(error: OSError) -> str:
    """Why a file could not be written and what to do, as in `No space left on device. Make room`."""
    return f"{error.strerror or error}. {'Make room' if error.errno in _NO_ROOM else 'Mend that'}"
