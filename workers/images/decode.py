"""Decodes the grey image of a file into an array file, band by band."""

from pathlib import Path
from typing import BinaryIO

from emserve.imaging import Decoded
from emserve.jobs import ImageSource
from workers.images.bands import gathered, placed_bands
from workers.images.grey import GreyImage, choose
from workers.images.headers import open_image
from workers.images.raw import BAND_BYTES
from workers.images.reader import ImageReader
from workers.images.sheet import Sheet


def decode(file: BinaryIO, source: ImageSource, out: Path, z: int | None = None) -> Decoded:
    """Writes the grey image (Y, X) that `source` means to `out`, a C-ordered .npy of bool, uint8, uint16,
    int16 or float32 in native byte order; of a volume its slice `z`.

    Raises UnreadableImage when the pixels are damaged, and what `inspect` raises."""
    reader = open_image(file)
    image = choose(reader.found, source)
    return write_image(reader, image if z is None else image.slice(z), out)


def write_image(reader: ImageReader, image: GreyImage, out: Path) -> Decoded:
    """Writes an image (Y, X) of an open file to `out`, as `decode` does."""
    height, width = image.header.shape
    with Sheet.new_npy(out, (height, width), image.header.dtype) as sheet:
        if image.is_turned:
            # Larger bands, because columns are written to every row of a file.
            columns_at_once = max(1, BAND_BYTES // (height * sheet.dtype.itemsize))
            for x0, columns in gathered(placed_bands(reader, image), columns_at_once):
                sheet.write_columns(x0, columns)
        else:
            for y0, rows in placed_bands(reader, image):
                sheet.write(y0, rows)
    return Decoded(path=out, shape=image.header.shape, dtype=image.header.dtype)
