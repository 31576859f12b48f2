"""The pixels of one page of a TIFF, by strips or rows of tiles."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import ceil
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from tifffile import COMPRESSION, TiffFrame, TiffPage

from workers.images import jpeg_data
from workers.images.grey import GreyImage
from workers.images.raw import BAND_BYTES, RawArray


@dataclass(frozen=True)
class PagePixels:
    """A page's array."""

    file: BinaryIO
    page: TiffPage | TiffFrame
    shape: tuple[int, ...]
    """Its sides, as the image that it belongs to counts them."""
    axes: str

    @property
    def _keyframe(self) -> TiffPage:
        """Where what pages have in common is said."""
        keyframe = self.page.keyframe
        if keyframe is None:
            raise ValueError("a page is like none before it")
        return keyframe

    @property
    def _is_jpeg(self) -> bool:
        return bool(self._keyframe.compression == COMPRESSION.JPEG)

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """The image, as `ImageReader.bands` has it, without the colours that its values stand for."""
        keyframe = self._keyframe
        if keyframe.is_final:
            stored = np.dtype(keyframe.dtype).newbyteorder(keyframe.parent.byteorder)
            return RawArray(self.file, self.page.dataoffsets[0], self.shape, stored).bands(image, self.axes)
        planes, depth, length, _, _ = keyframe.shaped
        sides = (planes, length) if planes > 1 else (length,)
        first = min(self.axes.index("Y"), self.axes.index("X"))
        is_plane_by_plane = self.shape[: len(sides)] == sides and first == len(sides) - 1
        # Contiguous and yet not final are pages with oddities that tifffile undoes on the whole.
        if depth > 1 or keyframe.is_contiguous or not is_plane_by_plane:
            if self._is_jpeg:
                for value, _ in self._stored(range(len(self.page.dataoffsets))):
                    self._check(value)
            whole = np.asarray(self.page.asarray(maxworkers=1)).reshape(self.shape)
            return image.of_bands([whole], self.axes)
        plane = image.index[self.axes[0]] if planes > 1 else 0
        bands = (band.reshape(len(band), *self.shape[len(sides) :]) for band in self._segment_bands(plane))
        return image.of_bands(bands, self.axes[first:])

    def _segment_bands(self, plane: int) -> Iterator[NDArray[Any]]:
        """(rows, width, samples) of a strip or a row of tiles after the other, of one of several planes."""
        keyframe = self._keyframe
        _, _, length, width, samples = keyframe.shaped
        high = keyframe.tilelength if keyframe.is_tiled else keyframe.rowsperstrip
        across = ceil(width / keyframe.tilewidth) if keyframe.is_tiled else 1
        segments = self._segments(plane, ceil(length / high) * across)
        for y0 in range(0, length, high):
            band = np.empty((min(high, length - y0), width, samples), keyframe.dtype)
            for segment, (_, _, _, x0, _), (_, _, wide, _) in islice(segments, across):
                band[:, x0 : x0 + wide] = segment[0, : len(band), : width - x0]
            yield band

    def _segments(self, plane: int, count: int) -> Iterator[Any]:
        """Decoded strips or tiles of a plane, each with its place and its shape, as tifffile has them."""
        tables = {"jpegtables": self.page.jpegtables}
        for value, index in self._stored(range(plane * count, (plane + 1) * count)):
            self._check(value)
            yield self._keyframe.decode(value, index, **tables)

    def _stored(self, indices: range) -> Iterator[Any]:  # tifffile's answer is of several types
        """Strips or tiles as they are in the file, None for one that is left out, each with its index."""
        return self._keyframe.parent.filehandle.read_segments(
            self.page.dataoffsets[indices.start : indices.stop],
            self.page.databytecounts[indices.start : indices.stop],
            indices=indices,
            sort=False,
            buffersize=BAND_BYTES,
        )

    def _check(self, value: bytes | None) -> None:
        if value is not None and self._is_jpeg:
            jpeg_data.check(value, self.page.jpegtables)
