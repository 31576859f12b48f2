"""Images larger than memory: read and written by bands of rows."""

from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from workers.images.sheet import Sheet
from workers.inference.spool import Spool

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


class Workspace:
    """A folder for files that last as long as one image or volume is worked on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, Sheet | Spool] = {}

    def sheet(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Sheet:
        """An empty sheet, all zeros; one of the same name is replaced."""
        path = self._free(f"{name}.sheet")
        sheet = Sheet(path, shape, dtype).reserve()
        self._open[path.name] = sheet
        return sheet

    def spool(self, name: str, dtype: npt.DTypeLike) -> Spool:
        """An empty spool; one of the same name is replaced."""
        path = self._free(f"{name}.spool")
        spool = Spool(path, dtype)
        self._open[path.name] = spool
        return spool

    def open_npy(self, path: Path) -> Sheet:
        sheet = Sheet.of_npy(path)
        self._open[str(path)] = sheet
        return sheet

    def remove(self, spool: Spool) -> None:
        """Closes a spool and gives its room on the disk back."""
        for name, each in self._open.items():
            if each is spool:
                del self._open[name]
                spool.close()
                return

    def close(self) -> None:
        """Closes every file; the folder stays with whoever made it."""
        while self._open:
            self._open.popitem()[1].close()

    def _free(self, name: str) -> Path:
        """The path of a file of this name, which is closed and removed if it is there."""
        if name in self._open:
            self._open.pop(name).close()
        path = self._folder / name
        path.unlink(missing_ok=True)
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def bands(height: int, rows: int) -> list[tuple[int, int]]:
    """(y0, y1) of bands of `rows` rows that cover `height`."""
    return [(y0, min(y0 + rows, height)) for y0 in range(0, height, rows)]
