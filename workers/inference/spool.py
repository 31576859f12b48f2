"""Arrays in a file, written one after the other and read again in any order."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]  # of the spool's data type


class Spool:
    """One-dimensional arrays of one data type, known by the order in which they were appended.

    Like a sheet it goes through the file, not through a memory map. In memory it holds 16 bytes an array.
    Raises OSError, ENOSPC among them.
    """

    def __init__(self, path: Path, dtype: npt.DTypeLike) -> None:
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._path = path
        self._places: list[tuple[int, int]] = []  # first element, number of elements
        self._size = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def __len__(self) -> int:
        return len(self._places)

    def append(self, array: Array) -> None:
        bytes_left = np.ascontiguousarray(array, self.dtype).view(np.uint8).data
        position = self._size * self.dtype.itemsize
        while len(bytes_left):
            done = os.pwrite(self._fd, bytes_left, position)
            bytes_left, position = bytes_left[done:], position + done
        self._places.append((self._size, len(array)))
        self._size += len(array)

    def read(self, index: int) -> Array:
        """Array number `index`; not less than 0."""
        begin, count = self._places[index]
        array = np.empty(count, self.dtype)
        bytes_left, position = array.view(np.uint8).data, begin * self.dtype.itemsize
        while len(bytes_left):
            done = os.preadv(self._fd, [bytes_left], position)
            if done == 0:
                raise EOFError(f"{self._path.name} ends at byte {position}")
            bytes_left, position = bytes_left[done:], position + done
        return array

    def close(self) -> None:
        """Closes and removes the file."""
        os.close(self._fd)
        self._path.unlink(missing_ok=True)
