"""Decodes the grey image of a file into an array file."""

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emserve.errors import EmserveError, UnreadableImage
from emserve.imaging import Decoded
from emserve.jobs import ImageSource
from workers.images.grey import choose
from workers.images.headers import open_image


def read_grey(file: BinaryIO, source: ImageSource) -> NDArray[Any]:
    """The grey image (Y, X) that `source` means: bool, uint8, uint16, int16 or float32 in native byte
    order. Raises UnreadableImage when the pixels are damaged, and what `inspect` raises."""
    reader = open_image(file)
    image = choose(reader.found, source)
    try:
        plane = reader.read(image)
    except (EmserveError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever comes to mind
        raise UnreadableImage(
            f"The {image.header.format.upper()}'s pixels cannot be decoded ({type(error).__name__}): the "
            "file is damaged, save it again."
        ) from error
    if list(plane.shape) != image.header.shape:
        raise UnreadableImage("The file holds fewer pixels than its header says: save it again.")
    return plane.astype(image.header.dtype, copy=False)


def decode(file: BinaryIO, source: ImageSource, out: Path) -> Decoded:
    """Writes the grey image to `out`, a C-ordered .npy. Raises what `read_grey` raises."""
    plane = np.ascontiguousarray(read_grey(file, source))
    with out.open("wb") as array_file:
        np.lib.format.write_array_header_1_0(array_file, np.lib.format.header_data_from_array_1_0(plane))
        # Not np.save: when the disk is full, its error lacks the number that says so.
        array_file.write(plane.data)
    return Decoded(path=out, shape=list(plane.shape), dtype=plane.dtype.name)
