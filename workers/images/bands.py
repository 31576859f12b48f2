"""The pixels of an image as they come out of its file, each band with its place."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emserve.errors import EmserveError, UnreadableImage
from workers.images.grey import GreyImage
from workers.images.reader import ImageReader

Band = NDArray[Any]  # (rows, width), or (columns, height) of an image that is turned


def placed_bands(
    reader: ImageReader, image: GreyImage, what: str = "the pixels"
) -> Iterator[tuple[int, Band]]:
    """The bands of `image` from its first row (column, where it is turned) to its last, and where each
    begins. Raises UnreadableImage where the pixels, which an error calls `what`, are damaged or do not make
    up the image."""
    height, width = image.header.shape
    lines, length = (width, height) if image.is_turned else (height, width)
    place = 0
    for band in _decoded(reader, image, what):
        if band.shape[1:] != (length,) or place + len(band) > lines:
            break
        yield place, band
        place += len(band)
    if place != lines:
        raise UnreadableImage(f"Of {what} the file holds fewer than its header says: save it again.")


def _decoded(reader: ImageReader, image: GreyImage, what: str) -> Iterator[Band]:
    try:
        yield from reader.bands(image)
    except (EmserveError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever comes to mind
        raise UnreadableImage(
            f"Of the {image.header.format.upper()}, {what} cannot be decoded ({type(error).__name__}): the "
            "file is damaged, save it again."
        ) from error


def gathered(bands: Iterator[tuple[int, Band]], lines: int) -> Iterator[tuple[int, Band]]:
    """The same in larger bands: their places are multiples of `lines`, and so are all sizes but the last."""
    waiting: list[Band] = []
    begin = 0
    for _, band in bands:
        waiting.append(band)
        count = sum(len(each) for each in waiting)
        if count >= lines:
            whole = np.concatenate(waiting)
            full = count - count % lines
            yield begin, whole[:full]
            begin += full
            waiting = [whole[full:]] if full < count else []
    if waiting:
        yield begin, np.concatenate(waiting)
