"""JPEG data. A decoder reads it however damaged it is and fills in what it lacks with grey or wrong pixels.
Here that is an error, as far as it can be known: JPEG has no checksum."""

from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_COLOURS = {"Gray": "GRAY", "CMYK": "CMYK", "YCCK": "CMYK"}


class DamagedJpeg(ValueError):
    """Of JPEG data some is missing or makes no sense."""


def pixels_of(data: bytes) -> NDArray[Any]:
    """The pixels (rows, width, samples), uint8, of a JPEG: grey, RGB, or CMYK, where 255 is full ink. Raises
    ValueError for one that is damaged, or of a kind that is not read (12 bits)."""
    colours = _COLOURS.get(str(simplejpeg.decode_jpeg_header(data)[2]), "RGB")
    pixels: NDArray[Any] = simplejpeg.decode_jpeg(data, colours)
    # Files have 255 for no ink: so Adobe's programs write them, and all readers have it so.
    return np.invert(pixels, out=pixels) if colours == "CMYK" else pixels


def check(data: bytes, tables: bytes | None) -> None:
    """Raises DamagedJpeg when part of JPEG data, of which `tables` may lie elsewhere, had to be guessed.

    What this decoder does not read at all (12 bits, lossless) is left to the one that does."""
    whole = (
        data if not tables else tables[:-2] + data[2:]
    )  # without the end of one and the begin of the other
    try:
        simplejpeg.decode_jpeg(whole, "GRAY")
    except ValueError as error:
        try:
            simplejpeg.decode_jpeg(whole, "GRAY", strict=False)
        except ValueError:
            return
        raise DamagedJpeg(str(error)) from None
