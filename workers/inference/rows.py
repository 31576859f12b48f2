"""Images larger than memory: read and written by bands of rows."""

import os
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]  # of whatever data type the rows have


class Rows(Protocol):
    """An image that is read by bands."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height first; most have (H, W)."""

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def read(self, y0: int, y1: int) -> Array:
        """Rows y0 to y1 - 1; not to be written to."""


class ArrayRows:
    """An array in memory as rows."""

    def __init__(self, array: Array) -> None:
        self._array = array
        self.shape: tuple[int, ...] = array.shape
        self.dtype: np.dtype[Any] = array.dtype

    def read(self, y0: int, y1: int) -> Array:
        return self._array[y0:y1]


class BlackAndWhite:
    """A bool image as grey values: 0 and 255."""

    def __init__(self, image: Rows) -> None:
        self._image = image
        self.shape: tuple[int, ...] = image.shape
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def read(self, y0: int, y1: int) -> Array:
        return self._image.read(y0, y1).astype(np.uint8) * np.uint8(255)


class Sheet:
    """An array in a file, its first axis being rows.

    Reads and writes go through the file, not through a memory map, so that what has been seen does not count
    as resident memory. Raises OSError, ENOSPC among them.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, begin: int = 0) -> None:
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

    def read(self, y0: int, y1: int) -> Array:
        """Rows y0 to y1 - 1, cut off at the last."""
        y1 = min(y1, self.shape[0])
        rows = np.empty((max(0, y1 - y0), *self.shape[1:]), self.dtype)
        self._transfer(os.preadv, rows, y0)
        return rows

    def write(self, y0: int, rows: Array) -> None:
        """Rows from y0 on; what was never written reads as zeros."""
        self._transfer(os.pwritev, np.ascontiguousarray(rows, self.dtype), y0)

    def reserve(self) -> Self:
        """Gives the file its full size, so that rows that were never written can be read."""
        os.ftruncate(self._fd, self._begin + self.shape[0] * self._row_bytes)
        return self

    def close(self) -> None:
        os.close(self._fd)

    def _transfer(self, call: Any, rows: Array, y0: int) -> None:  # os.preadv or os.pwritev
        bytes_left = rows.reshape(-1).view(np.uint8).data
        position = self._begin + y0 * self._row_bytes
        while len(bytes_left):
            done = call(self._fd, [bytes_left], position)
            if done == 0:
                raise EOFError(f"the file ends at byte {position}")
            bytes_left, position = bytes_left[done:], position + done


class Workspace:
    """A folder for sheets that last as long as one image is worked on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sheets: list[Sheet] = []

    def sheet(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Sheet:
        """An empty sheet, all zeros; one of the same name is replaced."""
        path = self._folder / f"{name}.sheet"
        path.unlink(missing_ok=True)
        sheet = Sheet(path, shape, dtype).reserve()
        self._sheets.append(sheet)
        return sheet

    def open_npy(self, path: Path) -> Sheet:
        sheet = Sheet.of_npy(path)
        self._sheets.append(sheet)
        return sheet

    def close(self) -> None:
        """Closes every sheet; the folder stays with whoever made it."""
        while self._sheets:
            self._sheets.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bands(height: int, rows: int) -> list[tuple[int, int]]:
    """(y0, y1) of bands of `rows` rows that cover `height`."""
    return [(y0, min(y0 + rows, height)) for y0 in range(0, height, rows)]
