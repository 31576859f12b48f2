"""Images that tests upload, made on the spot."""

import io
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from training.phantoms import Phantom, make_phantom


def phantom(seed: int = 7, side: int = 256) -> Phantom:
    """A phantom of `side` pixels; the starter model finds most of its mitochondria."""
    return deepcopy(_made(seed, side))


@cache
def _made(seed: int, side: int) -> Phantom:
    """Many tests take the same one, and making it costs more than what they do with it."""
    return make_phantom(seed, (side, side), 12.0)


def tiff(image: NDArray[Any], **options: Any) -> bytes:  # tifffile's options are free-form
    """`image` as a TIFF file."""
    file = io.BytesIO()
    tifffile.imwrite(file, image, **options)
    return file.getvalue()


def large_image(side: int = 4096) -> NDArray[np.uint8]:
    """An image that keeps a worker busy for many seconds; compresses well."""
    small = phantom(side=256).image
    return np.tile(small, (side // 256, side // 256))
