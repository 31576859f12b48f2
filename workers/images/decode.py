"""Decodes the grey image of a file into an array file, band by band."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emserve.errors import EmserveError, UnreadableImage
from emserve.imaging import Decoded
from emserve.jobs import ImageSource
from workers.images.grey import GreyImage, choose
from workers.images.headers import open_image
from workers.images.raw import BAND_BYTES
from workers.images.reader import ImageReader
from workers.images.sheet import Sheet


def decode(file: BinaryIO, source: ImageSource, out: Path) -> Decoded:
    """Writes the grey image (Y, X) that `source` means to `out`, a C-ordered .npy of bool, uint8, uint16,
    int16 or float32 in native byte order.

    Raises UnreadableImage when the pixels are damaged, and what `inspect` raises."""
    reader = open_image(file)
    image = choose(reader.found, source)
    height, width = image.header.shape
    with Sheet.new_npy(out, (height, width), image.header.dtype) as sheet:
        if image.is_turned:
            for x0, columns in _placed(_gathered(_bands(reader, image)), (width, height)):
                sheet.write_columns(x0, columns)
        else:
            for y0, rows in _placed(_bands(reader, image), (height, width)):
                sheet.write(y0, rows)
    return Decoded(path=out, shape=image.header.shape, dtype=image.header.dtype)


def _bands(reader: ImageReader, image: GreyImage) -> Iterator[NDArray[Any]]:
    try:
        yield from reader.bands(image)
    except (EmserveError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever comes to mind
        raise UnreadableImage(
            f"The {image.header.format.upper()}'s pixels cannot be decoded ({type(error).__name__}): the "
            "file is damaged, save it again."
        ) from error


def _placed(bands: Iterator[NDArray[Any]], shape: tuple[int, int]) -> Iterator[tuple[int, NDArray[Any]]]:
    """The bands and where each begins. Raises UnreadableImage where they do not make up `shape`."""
    place = 0
    for band in bands:
        if band.shape[1:] != shape[1:] or place + len(band) > shape[0]:
            break
        yield place, band
        place += len(band)
    if place != shape[0]:
        raise UnreadableImage("The file holds fewer pixels than its header says: save it again.")


def _gathered(bands: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
    """Larger bands, because columns are written to every row of a file."""
    waiting: list[NDArray[Any]] = []
    for band in bands:
        waiting.append(band)
        if sum(each.nbytes for each in waiting) >= BAND_BYTES:
            yield np.concatenate(waiting)
            waiting.clear()
    if waiting:
        yield np.concatenate(waiting)
