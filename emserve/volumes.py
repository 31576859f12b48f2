"""What a volume takes on disk while it is worked on; both sides look before the work starts."""

from collections.abc import Sequence
from math import ceil, prod

BRICK = 64
"""Side, in voxels, of the bricks that the working copy is cut into."""


def working_copy_bytes(shape: Sequence[int], itemsize: int) -> int:
    """Size of the working copy of a volume (Z, Y, X), whose slices are padded to whole bricks."""
    depth, *sides = shape
    return depth * prod(ceil(side / BRICK) * BRICK for side in sides) * itemsize
