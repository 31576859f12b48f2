"""What the network is asked to give for a label map.

Panoptic-DeepLab (Cheng et al., CVPR 2020): a mask, a heat map of centres, offsets to the centre.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.phantoms.noise import FloatImage

STRIDE = 4  # the heads' grid: point p of the grid is pixel STRIDE * p
_SMALLEST_PX = 16  # crumbs at a crop's edge have no centre
_NARROWEST, _WIDEST = 1.25, 6.0  # limits of a centre's deviation, in grid points
_SIGMA_PER_SIDE = 0.2


@dataclass(frozen=True)
class Targets:
    """Targets of one crop of H x W pixels, on a grid of h = H / 4, w = W / 4."""

    semantic: FloatImage
    """(1, H, W): 1 inside an object."""
    centre: FloatImage
    """(1, h, w): a Gaussian at each object's centre of mass, in proportion to the object."""
    offset: FloatImage
    """(2, h, w): from each grid point to its object's centre (dy, dx), in pixels."""
    inside: FloatImage
    """(1, h, w): 1 where the offset counts."""
    kinds: NDArray[np.int64]
    """(h, w): `Organelle` of each grid point."""


def make_targets(
    labels: NDArray[np.integer[Any]], kinds: NDArray[np.integer[Any]]
) -> Targets:  # any width: label maps come in all of them
    """Targets of a (H, W) label map whose sides are multiples of 4, and the `Organelle` of its pixels."""
    flat = labels.ravel()
    areas = np.bincount(flat)
    place = np.indices(labels.shape)
    y, x = place[0], place[1]
    weight = np.maximum(areas, 1)
    cy = np.bincount(flat, y.ravel()) / weight
    cx = np.bincount(flat, x.ravel()) / weight
    grid = labels[::STRIDE, ::STRIDE].astype(np.intp)
    offset = np.stack([cy[grid] - y[::STRIDE, ::STRIDE], cx[grid] - x[::STRIDE, ::STRIDE]])
    inside = ((grid > 0) & (areas[grid] >= _SMALLEST_PX)).astype(np.float32)
    centre = np.zeros(grid.shape, np.float32)
    for index in np.flatnonzero(areas[1:] >= _SMALLEST_PX):
        label = int(index) + 1
        sigma = float(np.clip(_SIGMA_PER_SIDE * np.sqrt(areas[label]) / STRIDE, _NARROWEST, _WIDEST))
        _add_peak(centre, (cy[label] / STRIDE, cx[label] / STRIDE), sigma)
    return Targets(
        semantic=(labels > 0)[None].astype(np.float32),
        centre=centre[None],
        offset=(offset * inside).astype(np.float32),
        inside=inside[None],
        kinds=kinds[::STRIDE, ::STRIDE].astype(np.int64),
    )


def _add_peak(heat: FloatImage, at: tuple[float, float], sigma: float) -> None:
    rows, columns = (
        slice(max(0, int(position - 4 * sigma)), int(position + 4 * sigma) + 2) for position in at
    )
    y = np.arange(heat.shape[0], dtype=np.float32)[rows, None] - at[0]
    x = np.arange(heat.shape[1], dtype=np.float32)[None, columns] - at[1]
    window = heat[rows, columns]
    np.maximum(window, np.exp(-(y**2 + x**2) / (2 * sigma**2)), out=window)
