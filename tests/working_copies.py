"""Volumes as their working copies give them back, for tests of what reads files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emserve.jobs import ImageSource
from workers.images.bricks import Bricks
from workers.images.working_copy import copy_slices


def noise(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Of which every bit is used, so that any mistake shows."""
    values = np.random.default_rng(shape).integers(0, 1 << 16, shape, dtype=np.uint16)
    return values > 1 << 15 if dtype == "bool" else values.view(np.int16).astype(dtype)


def copied(value: bytes, folder: Path, source: ImageSource | None = None) -> NDArray[Any]:
    """The volume (Z, Y, X) in the working copy that a file is copied to, slice by slice."""
    path = folder / "bricks"
    made = copy_slices(io.BytesIO(value), source or ImageSource(), path, 0, seconds=0)
    while made.copied_until < made.shape[0]:
        file = io.BytesIO(value)
        made = copy_slices(file, source or ImageSource(), path, made.copied_until, seconds=0)
    with Bricks(path, made.shape, made.dtype) as bricks:
        return bricks.planes(0, 0, made.shape[0])
