"""Volumes that tests make, and what is read of them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emserve.jobs import ImageSource
from workers.images.bricks import Bricks
from workers.images.headers import inspect
from workers.images.working_copy import copy_slices


def noise(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Of which every bit is used, so that any mistake shows."""
    values = np.random.default_rng(shape).integers(0, 1 << 16, shape, dtype=np.uint16)
    return values > 1 << 15 if dtype == "bool" else values.view(np.int16).astype(dtype)


def copied(
    value: bytes, folder: Path, source: ImageSource | None = None, slices: tuple[int, int] | None = None
) -> NDArray[Any]:
    """The volume (Z, Y, X) in the working copy that these slices of a file were copied to; all of them
    without `slices`."""
    source = source or ImageSource()
    depth = inspect(io.BytesIO(value), source).shape[0]
    path = folder / "bricks"
    made = copy_slices(io.BytesIO(value), source, path, slices or (0, depth))
    shape = (made.shape[0], made.shape[1], made.shape[2])
    with Bricks(path, shape, made.dtype) as bricks:
        return np.stack([bricks.plane(0, z) for z in range(shape[0])])
