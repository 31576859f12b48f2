"""Surfaces of all objects of a volume at once, slice by slice."""

import numpy as np
import numpy.typing as npt

from workers.inference.measure import tally
from workers.inference.volume.marching_cubes import cube_areas
from workers.inference.volume.spans import Labels

Floats = npt.NDArray[np.float64]
Spacing = tuple[float, float, float]


class Surfaces:
    """Adds up the marching-cubes surface of each label, the volume's border being background."""

    def __init__(self, n: int, spacings: tuple[Spacing, ...]) -> None:
        """Of labels 1 to `n`, for voxels of each of these sizes."""
        self.areas = np.zeros((len(spacings), n + 1), np.float64)
        self._tables = [cube_areas(spacing) for spacing in spacings]
        self._above: Labels | None = None

    def add(self, labels: Labels) -> None:
        """Takes the next slice (Y, X)."""
        padded = np.pad(labels, 1)
        self._between(np.zeros_like(padded) if self._above is None else self._above, padded)
        self._above = padded

    def finish(self) -> None:
        """Below the last slice there is nothing."""
        if self._above is not None:
            self._between(self._above, np.zeros_like(self._above))

    def _between(self, above: Labels, below: Labels) -> None:
        corners = _mixed_cubes(above, below)
        for number in range(8):
            label = corners[number]
            new = label > 0  # each label of a cube is looked at once, at its first corner
            for earlier in range(number):
                new &= corners[earlier] != label
            chosen = np.flatnonzero(new)
            label = label[chosen]
            cubes = np.zeros(len(chosen), np.uint8)
            for corner in range(number, 8):
                cubes |= (corners[corner, chosen] == label).astype(np.uint8) << np.uint8(corner)
            for areas, table in zip(self.areas, self._tables, strict=True):
                tally(areas, label, table[cubes])


def _mixed_cubes(above: Labels, below: Labels) -> Labels:
    """(8, N) labels at the corners of those cubes between two slices whose corners are not alike."""
    views = [
        plane[y : plane.shape[0] - 1 + y, x : plane.shape[1] - 1 + x]
        for plane in (above, below)
        for y in (0, 1)
        for x in (0, 1)
    ]
    mixed = np.zeros(views[0].shape, np.bool_)
    for view in views[1:]:
        mixed |= view != views[0]
    places = np.nonzero(mixed)
    return np.stack([view[places] for view in views])
