"""Reads a volume, or an image, that comes as a zip of a Zarr."""

from collections.abc import Iterator
from itertools import islice, product
from math import ceil, lcm, prod
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from emserve.errors import EmserveError, UnreadableImage, UnsuitableImage
from workers.images.archive import Archive
from workers.images.grey import FoundImage, GreyImage
from workers.images.zarr_entries import ZarrEntries
from workers.images.zarr_metadata import ZarrArray, find_array

_BLOCK_BYTES = 1 << 26
"""How much is held at once, where the chunks allow it."""
_LARGEST_CHUNK_BYTES = 1 << 30
_FEW = 3


class ZarrReader:
    """A Zarr of version 2 or 3 whose chunks are all there. Raises UnreadableImage when it is damaged or lacks
    chunks, UnsuitableImage when it holds no single image or is packed in a way that is not accepted."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._found = found = find_array(archive)
        self.found = FoundImage(
            format="zarr",
            shape=found.shape,
            axes="".join(axis.letter for axis in found.axes),
            dtype=found.dtype,
            spacing_nm={axis.letter: axis.spacing_nm for axis in found.axes if axis.spacing_nm is not None},
        )
        self._check_chunks(found)
        self._array: zarr.Array[Any] | None = None

    def _check_chunks(self, found: ZarrArray) -> None:
        chunk = found.layout.chunk
        if len(chunk) != len(found.shape) or min(chunk) < 1 or len(found.layout.stored) != len(chunk):
            raise UnreadableImage(f"The Zarr's chunks of {chunk} do not fit its array of {found.shape}.")
        if prod(chunk) * np.dtype(found.dtype).itemsize > _LARGEST_CHUNK_BYTES:
            raise UnsuitableImage(
                f"A chunk of the Zarr has {' x '.join(map(str, chunk))} voxels, more than is decoded at once"
                ": save it with smaller chunks."
            )
        names = (str(found.path / name) for name in found.layout.names(found.shape))
        missing = list(islice((name for name in names if name not in self._archive), _FEW))
        if missing:
            raise UnreadableImage(
                f"The Zarr lacks chunks of its array, such as {', '.join(missing)}: the copy is incomplete, "
                "or zarr left out chunks of nothing but zeros: write it with `write_empty_chunks=True`."
            )

    def depth(self, volume: GreyImage) -> int:
        """Slices in a chunk."""
        return self._found.layout.chunk[volume.axes.index("Z")]

    def blocks(
        self, volume: GreyImage, slices: tuple[int, int], step: int
    ) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
        """In parts of whole chunks, where these fit with `step`."""
        _, height, width = volume.header.shape
        thickness = slices[1] - slices[0]
        rows, columns = self._part(volume, thickness, step)
        for y0, x0 in product(range(0, height, rows), range(0, width, columns)):
            index = {"Z": slice(*slices), "Y": slice(y0, y0 + rows), "X": slice(x0, x0 + columns)}
            block = self._read(volume, index, f"slices {slices[0]} to {slices[1] - 1}")
            yield (y0, x0), block.swapaxes(1, 2) if volume.is_turned else block

    def _part(self, volume: GreyImage, thickness: int, step: int) -> tuple[int, int]:
        """Height and width of what is read at once: rows of chunks, or less where they are long."""
        _, height, width = volume.header.shape
        voxels = _BLOCK_BYTES // (np.dtype(self._found.dtype).itemsize * thickness)
        high, wide = (self._fitting(volume, axis, step) for axis in "YX")
        columns = ceil(width / wide) * wide
        if high * columns > voxels:
            columns = max(1, voxels // high // wide) * wide
        rows = max(1, voxels // columns // high) * high
        return min(rows, ceil(height / step) * step), min(columns, ceil(width / step) * step)

    def _fitting(self, volume: GreyImage, axis: str, step: int) -> int:
        """A multiple of `step` that cuts no chunk, or few where that would be much."""
        side = self._found.layout.chunk[volume.axes.index(axis)]
        whole = lcm(side, step)
        return whole if whole <= 4 * max(side, step) else ceil(side / step) * step

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """By rows of chunks."""
        first = min(image.axes.index("Y"), image.axes.index("X"))
        lines, chunk = self._found.shape[first], self._found.layout.chunk[first]
        for begin in range(0, lines, chunk):
            index = {image.axes[first]: slice(begin, begin + chunk)}
            yield self._read(image, index, f"rows {begin} to {begin + chunk - 1}")

    def _read(self, image: GreyImage, index: dict[str, slice], what: str) -> NDArray[Any]:
        """The part of the image in `index`, its axes in the file's order."""
        places = [index.get(axis, image.index.get(axis, slice(None))) for axis in image.axes]
        try:
            return np.asarray(self._opened()[tuple(places)])
        except (EmserveError, MemoryError):
            raise
        except Exception as error:  # codecs raise whatever comes to mind
            raise UnreadableImage(
                f"Of the Zarr, {what} cannot be decoded ({type(error).__name__}): the file is damaged, save "
                "it again."
            ) from error

    def _opened(self) -> "zarr.Array[Any]":
        if self._array is None:
            path = "" if str(self._found.path) == "." else str(self._found.path)
            self._array = zarr.open_array(ZarrEntries(self._archive), path=path, mode="r")
        return self._array
