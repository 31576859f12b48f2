"""Blending: maps of overlapping tiles become one map, band by band."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Blend:
    """A band of rows that slides down the image while tiles add up in it."""

    def __init__(self, channels: int, rows: int, width: int) -> None:
        self._sum = np.zeros((channels, rows, width), np.float32)
        self._top = 0

    def add(self, place: tuple[int, int], values: Floats, weights: tuple[Floats, Floats]) -> None:
        """Adds `values` (C, h, w) at `place` (y, x), times weights (h,) and (w,); cut off at the right."""
        y, x = place[0] - self._top, place[1]
        width = min(values.shape[2], self._sum.shape[2] - x)
        weight = weights[0][:, None] * weights[1][None, :width]
        self._sum[:, y : y + values.shape[1], x : x + width] += values[:, :, :width] * weight

    def take(self, until: int) -> Floats:
        """(C, rows, W) the rows that no later tile reaches, up to `until`; they leave the band."""
        count = until - self._top
        done = self._sum[:, :count].copy()
        kept = self._sum.shape[1] - count
        self._sum[:, :kept] = self._sum[:, count:].copy()
        self._sum[:, kept:] = 0
        self._top = until
        return done
