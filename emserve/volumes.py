"""What a volume takes on disk while it is worked on; both sides look for room before the work starts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

import numpy as np

from emserve.params import Parameters

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
    def of(cls, shape: Sequence[int], dtype: str, params: Parameters, classes: int) -> "Room":
        """For a volume (Z, Y, X) of this data type, for a model of so many classes: an estimate on the safe
        side."""
        copy = working_copy_bytes(shape, np.dtype(dtype).itemsize)
        stored = _result_bytes(shape) + _ledger_bytes(shape, params, classes)
        return cls(copy + _workspace_bytes(shape, params), stored)


def working_copy_bytes(shape: Sequence[int], itemsize: int) -> int:
    """Size of the working copy of a volume (Z, Y, X), whose slices are padded to whole bricks."""
    depth, *sides = shape
    return depth * prod(ceil(side / BRICK) * BRICK for side in sides) * itemsize


def _workspace_bytes(shape: Sequence[int], params: Parameters) -> int:
    """Runs of objects, twice for a moment: they were measured at about 0.2 bytes a voxel and stack."""
    depth, height, width = shape
    largest_plane = max(height * width, depth * width, depth * height)
    return prod(shape) * (stacks(params) + 1) + 16 * largest_plane


def _ledger_bytes(shape: Sequence[int], params: Parameters, classes: int) -> int:
    """The network's maps, packed: bits of a single class, which pack well, and probabilities of several and
    of the background, which hardly do."""
    bytes_per_voxel = 0.5 if params.fine_boundaries else 0.1
    if classes > 1:
        bytes_per_voxel += 4.0 * (classes + 1)
    return int(prod(shape) * stacks(params) * bytes_per_voxel)


def _result_bytes(shape: Sequence[int]) -> int:
    """The label map with its smaller copies, packed: a few per cent of it, as a rule."""
    return prod(shape) // 4


def stacks(params: Parameters) -> int:
    """Along how many axes a volume is segmented."""
    return 3 if params.mode == "orthoplane" else 1
