"""Blending: maps of overlapping tiles become one map, band by band."""

import numpy as np
import numpy.typing as npt

_ROWS_AT_ONCE = 64  # are weighted: what is multiplied stays small beside the maps themselves

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
        sums = self._sum[:, y : y + values.shape[1], x : x + width]
        for y0 in range(0, values.shape[1], _ROWS_AT_ONCE):
            rows = slice(y0, y0 + _ROWS_AT_ONCE)
            sums[:, rows] += values[:, rows, :width] * (weights[0][rows, None] * weights[1][:width])

    def rows(self, y0: int, y1: int) -> Floats:
        """(C, y1 - y0, W) rows of the band; a view, so that the band is not in memory twice."""
        return self._sum[:, y0 - self._top : y1 - self._top]

    def drop(self, until: int) -> None:
        """The rows before `until`, which no later tile reaches, leave the band."""
        count = until - self._top
        kept = self._sum.shape[1] - count
        self._sum[:, :kept] = self._sum[:, count:].copy()
        self._sum[:, kept:] = 0
        self._top = until
