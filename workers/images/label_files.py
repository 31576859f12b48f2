"""Writes a label map as one plain array: .npy, or a PNG."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emserve.errors import NotAcceptable
from workers.images.label_map import LabelMap
from workers.images.png_rows import SIGNATURE, chunk
from workers.images.sheet import Sheet

_FILTER_UP = 2  # rows are stored as their differences to the one above: few of a label map's are not 0


def write_npy(labels: LabelMap, path: Path) -> None:
    """A C-ordered .npy, axes YX or ZYX, in the map's own data type."""
    with Sheet.new_npy(path, labels.shape, labels.dtype) as sheet:
        for begin, band in labels.bands():
            sheet.write(begin, band)


def write_png(labels: LabelMap, path: Path) -> None:
    """A grey PNG of 16 bits. Raises NotAcceptable when there are more than 65535 objects, and for volumes."""
    if len(labels.shape) > 2:
        raise NotAcceptable(
            "A PNG holds one slice, and what is asked for is a volume: say which slice with `?z=`, or take "
            "ome-tiff, npy or zarr."
        )
    if labels.dtype == np.uint32:
        raise NotAcceptable(
            "The label map has more than 65535 objects, the most that a PNG of 16 bits can tell apart: take "
            "ome-tiff or npy."
        )
    height, width = labels.shape
    deflater = zlib.compressobj()
    with path.open("wb") as file:
        file.write(SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)))
        for rows in _filtered(labels):
            file.write(chunk(b"IDAT", deflater.compress(rows.tobytes())))
        file.write(chunk(b"IDAT", deflater.flush()) + chunk(b"IEND", b""))


def _filtered(labels: LabelMap) -> Iterator[NDArray[np.uint8]]:
    """(rows, 1 + bytes of a row) of 16 bits a pixel, as PNG has them; band by band."""
    above = np.zeros((1, 2 * labels.shape[1]), np.uint8)
    for _, band in labels.bands():
        rows = np.concatenate([above, band.astype(">u2").view(np.uint8)])
        filtered = np.full((len(band), 1 + rows.shape[1]), _FILTER_UP, np.uint8)
        np.subtract(rows[1:], rows[:-1], out=filtered[:, 1:])
        above = rows[-1:]
        yield filtered
