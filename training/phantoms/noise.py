"""Smooth random fields."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class Waves:
    """A Gaussian field over space, of zero mean and unit deviation: a sum of plane waves.

    Any point can be asked for, so slices of a volume fit each other, and no volume is ever held.
    """

    vectors: NDArray[np.float64]
    """(3, n) wave vectors in radians per nanometre."""
    phases: NDArray[np.float64]
    """(n,)"""

    @classmethod
    def draw(cls, rng: np.random.Generator, scale_nm: float, count: int = 32) -> "Waves":
        """A field that varies over about `scale_nm`; the more waves, the less it repeats itself."""
        return cls(rng.normal(0, 1.3 / scale_nm, (3, count)), rng.uniform(0, 2 * np.pi, count))

    def drawn_out(self, rng: np.random.Generator, share: float) -> "Waves":
        """The same field, but along some direction it varies only `share` times as fast."""
        direction = rng.standard_normal(3)
        direction /= np.linalg.norm(direction)
        along = np.outer(direction, direction @ self.vectors)
        return Waves(self.vectors - (1 - share) * along, self.phases)

    def at(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n,) values at (n, 3) points (z, y, x) in nanometres."""
        angles = (points @ self.vectors + self.phases).astype(np.float32)
        weights = np.full(len(self.phases), np.sqrt(2 / len(self.phases)), np.float32)
        return np.asarray(np.sin(angles) @ weights, np.float64)

    def plane(self, z_nm: float, y_nm: NDArray[np.floating], x_nm: NDArray[np.floating]) -> FloatImage:
        """(h, w) values where rows lie at `y_nm` (h,) and columns at `x_nm` (w,)."""
        return self._sum(z_nm, y_nm, x_nm, np.ones_like(self.phases), 0)

    def slope(self, z_nm: float, y_nm: NDArray[np.floating], x_nm: NDArray[np.floating]) -> FloatImage:
        """(h, w) how steep the field is in the plane, per nanometre; arguments as for `plane`."""
        # The derivative of a sine is the sine a quarter turn on.
        down, right = (self._sum(z_nm, y_nm, x_nm, self.vectors[axis], np.pi / 2) for axis in (1, 2))
        return np.hypot(down, right)

    def _sum(
        self,
        z_nm: float,
        y_nm: NDArray[np.floating],
        x_nm: NDArray[np.floating],
        weights: NDArray[np.float64],
        turn: float,
    ) -> FloatImage:
        rows = np.outer(y_nm, self.vectors[1]) + (z_nm * self.vectors[0] + self.phases + turn)
        columns = np.outer(x_nm, self.vectors[2])
        scale = np.sqrt(2 / len(self.phases)) * weights
        # sin(a + b) = sin a cos b + cos a sin b makes the sum over all waves one matrix product.
        left = np.hstack([scale * np.sin(rows), scale * np.cos(rows)]).astype(np.float32)
        right = np.hstack([np.cos(columns), np.sin(columns)]).astype(np.float32)
        return np.asarray(left @ right.T, np.float32)


def _basis(length: int, step: float, offset: float) -> FloatImage:
    """(length, nodes): Gaussian bumps every `step` pixels, rows of unit length."""
    nodes = int(np.ceil(length / step)) + 5
    centres = (np.arange(nodes) - 2 + offset) * step
    bumps = np.exp(-0.5 * ((np.arange(length)[:, None] - centres) / (0.75 * step)) ** 2)
    return np.asarray(bumps / np.linalg.norm(bumps, axis=1, keepdims=True), np.float32)


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale_px: float) -> FloatImage:
    """(H, W) Gaussian field of zero mean and unit deviation that varies over about `scale_px` pixels."""
    if scale_px < 3:
        white = rng.standard_normal(shape, dtype=np.float32)
        if scale_px < 0.3:
            return white
        blurred = ndimage.gaussian_filter(white, 0.6 * scale_px)
        return np.asarray(blurred / (blurred.std() + 1e-6), np.float32)
    rows = _basis(shape[0], scale_px, rng.random())
    columns = _basis(shape[1], scale_px, rng.random())
    nodes = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    return np.asarray(rows @ nodes @ columns.T, np.float32)


def soft_step(distance: FloatImage, softness: float | FloatImage = 0.6) -> FloatImage:
    """0 far below zero, 1 far above, over about `softness` of the distance's unit."""
    return np.asarray(np.clip(distance / (2 * softness) + 0.5, 0, 1), np.float32)
