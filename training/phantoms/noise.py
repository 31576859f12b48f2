"""Smooth random fields."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

FloatImage = NDArray[np.float32]


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


def bump(distance: FloatImage, centre: float, width: float) -> FloatImage:
    """A soft line: 1 where `distance` is `centre`, falling off over `width` pixels."""
    return np.asarray(np.exp(-(((distance - centre) / max(width, 0.45)) ** 2)), np.float32)


def soft_step(distance: FloatImage, softness: float = 0.6) -> FloatImage:
    """0 far below zero, 1 far above, over about `softness` pixels."""
    return np.asarray(np.clip(distance / (2 * softness) + 0.5, 0, 1), np.float32)
