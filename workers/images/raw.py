"""Arrays that lie in a file as they are: uncompressed, one value after another."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from workers.images.grey import GreyImage

BAND_BYTES = 1 << 24
"""How much of an image is held at once, where the file allows it; at least a row."""


@dataclass(frozen=True)
class RawArray:
    """An uncompressed array in a file."""

    file: BinaryIO
    begin: int
    """The file's byte at which it begins."""
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    """With its byte order."""

    def bands(self, image: GreyImage, axes: str) -> Iterator[NDArray[Any]]:
        """The image by bands, as `ImageReader.bands` has them; `axes` are those of the array. Raises
        ValueError where the file ends too early."""
        first = min(axes.index("Y"), axes.index("X"))
        lines, line_shape = self.shape[first], self.shape[first + 1 :]
        line_bytes = prod(line_shape) * self.stored.itemsize
        plane = 0
        for axis, side in zip(axes[:first], self.shape, strict=False):
            plane = plane * side + image.index[axis]
        self.file.seek(self.begin + plane * lines * line_bytes)
        height = max(1, BAND_BYTES // line_bytes)
        for y0 in range(0, lines, height):
            count = min(height, lines - y0)
            value = self.file.read(count * line_bytes)
            yield image.of(np.frombuffer(value, self.stored).reshape(count, *line_shape), axes[first:])
