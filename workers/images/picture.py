"""Pictures that Pillow decodes, handed on by bands."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.images.raw import BAND_BYTES


def picture_bands(picture: Image.Image) -> Iterator[NDArray[Any]]:
    """(rows, width) or (rows, width, samples) of a picture that is in memory as a whole, which is the only
    way Pillow has: a band at a time spares the copies."""
    width, height = picture.size
    rows = max(1, BAND_BYTES // (width * len(picture.getbands())))
    for y0 in range(0, height, rows):
        band = np.asarray(picture.crop((0, y0, width, min(y0 + rows, height))))
        yield band.view(np.uint8) > 0 if band.dtype == np.bool_ else band  # Pillow's true is 255
