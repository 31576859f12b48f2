"""What a volume takes on disk while it is worked on; both sides look for room before the work starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

BRICK = 64
"""Side, in voxels, of the bricks that the working copy is cut into."""


@dataclass(frozen=True)
class Room:
    """What a volume needs, in bytes."""

    scratch: int
    """While it is worked on, in the worker's data folder."""
    stored: int
    """In storage: its result, and until its end the notes of what is finished."""

    @classmethod
    def of(cls, shape: Sequence[int], dtype: str) -> "Room":
        """For a volume (Z, Y, X) of this data type."""
        return cls(working_copy_bytes(shape, np.dtype(dtype).itemsize), result_bytes(shape))


def working_copy_bytes(shape: Sequence[int], itemsize: int) -> int:
    """Size of the working copy of a volume (Z, Y, X), whose slices are padded to whole bricks."""
    depth, *sides = shape
    return depth * prod(ceil(side / BRICK) * BRICK for side in sides) * itemsize


def result_bytes(shape: Sequence[int]) -> int:
    """What the stored label map and the notes of finished work take at most, as a rule: both are packed."""
    return prod(shape) // 3
