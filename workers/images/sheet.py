"""An array in a file, read and written by bands of rows."""

import os
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from workers.images.transfer import transfer


class Sheet:
    """An array in a file, its first axis being rows.

    Reads and writes go through the file, not through a memory map, so that what has been seen does not count
    as resident memory. Raises OSError, ENOSPC among them.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike, begin: int = 0) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._begin = begin
        self._row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    @classmethod
    def of_npy(cls, path: Path) -> Self:
        """The array of a C-ordered .npy file. Raises ValueError for any other."""
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            reader = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran_order, dtype = reader(file)
            if fortran_order or dtype.hasobject:
                raise ValueError(f"{path.name} is not a C-ordered array of numbers")
            return cls(path, shape, dtype, file.tell())

    @classmethod
    def new_npy(cls, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> Self:
        """A new C-ordered .npy file, its rows to be written."""
        descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            return cls(path, shape, dtype, file.tell())

    def read(self, y0: int, y1: int) -> NDArray[Any]:
        """Rows y0 to y1 - 1, cut off at the last."""
        y1 = min(y1, self.shape[0])
        rows = np.empty((max(0, y1 - y0), *self.shape[1:]), self.dtype)
        transfer(os.preadv, self._fd, rows, self._begin + y0 * self._row_bytes)
        return rows

    def read_part(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """Columns x0 to x1 - 1 of rows y0 to y1 - 1 of an array of two axes."""
        part = np.empty((y1 - y0, x1 - x0), self.dtype)
        begin = self._begin + y0 * self._row_bytes + x0 * self.dtype.itemsize
        for y, row in enumerate(part):
            transfer(os.preadv, self._fd, row, begin + y * self._row_bytes)
        return part

    def write(self, y0: int, rows: NDArray[Any]) -> None:
        """Rows from y0 on; what was never written reads as zeros."""
        whole = np.ascontiguousarray(rows, self.dtype)
        transfer(os.pwritev, self._fd, whole, self._begin + y0 * self._row_bytes)

    def write_columns(self, x0: int, columns: NDArray[Any]) -> None:
        """Columns from x0 on of an array of two axes; `columns` has one of them in each of its rows."""
        begin = self._begin + x0 * self.dtype.itemsize
        for y, part in enumerate(np.ascontiguousarray(columns.T, self.dtype)):
            transfer(os.pwritev, self._fd, part, begin + y * self._row_bytes)

    def reserve(self) -> Self:
        """Gives the file its full size, so that rows that were never written can be read."""
        os.ftruncate(self._fd, self._begin + self.shape[0] * self._row_bytes)
        return self

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
