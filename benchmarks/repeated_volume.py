"""A phantom volume of any number of slices: a small one, repeated there and back."""

from functools import cached_property

import numpy as np

from training.phantoms import make_volume_phantom
from workers.inference.volume.source import Greys

_SIDE, _DEPTH = 256, 32
VOXEL_NM = (24.0, 16.0, 16.0)


class RepeatedVolume:
    """(Z, Y, X) uint8; memory depends on the small volume and on a slice."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self.shape = shape
        self.dtype = np.dtype(np.uint8)

    @cached_property
    def _part(self) -> Greys:
        sides = (min(self.shape[0], _DEPTH), min(self.shape[1], _SIDE), min(self.shape[2], _SIDE))
        part = make_volume_phantom(1, sides, VOXEL_NM).image
        return np.pad(part, [(0, side) for side in sides], mode="symmetric")  # there and back: no seam

    def planes(self, axis: int, begin: int, end: int) -> Greys:
        where = [np.arange(side) % of for side, of in zip(self.shape, self._part.shape, strict=True)]
        where[axis] = where[axis][begin:end]
        return np.moveaxis(self._part[np.ix_(*where)], axis, 0)
