"""Cytoplasm that hides its organelles: dense, or full of vesicles, as the endings of nerve cells are."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.signal import fftconvolve

from training.phantoms.noise import FloatImage, smooth_noise, soft_step
from training.phantoms.organelle import Organelle

_SOFT_PX = 0.7
_PATCH = (0.1, 0.4)  # of a crop's side: how far such cytoplasm reaches
_LEAST = (-0.6, 0.6)  # value of a field of unit deviation from which on it is crowded
_DENSITY = (0.0, 0.7)  # of the way to the grey of mitochondria
_CONTRAST = (0.2, 1.2)  # of vesicles, as a share of that way
_PER_UM2 = (20.0, 220.0)
_RADIUS_NM = (16.0, 28.0)
_MEMBRANE_NM, _BLUR = 5.0, (1.0, 2.0)
_FILLED = 0.25  # vesicles with a dense core
_DARKER = 0.15  # in grey, than cytoplasm, where there is no mitochondrion to compare with


def crowd(
    rng: np.random.Generator, image: FloatImage, kinds: NDArray[np.integer], pixel_size_nm: float
) -> FloatImage:
    """`image` (S, S) of `kinds` of `Organelle`, some of its cytoplasm dense and full of vesicles.

    What is no cytoplasm stays as it is, but for a soft edge. The result is clipped to 0 to 1.
    """
    cytoplasm = kinds == Organelle.CYTOPLASM
    if not cytoplasm.any():
        return image
    shape = (image.shape[0], image.shape[1])
    field = smooth_noise(rng, shape, rng.uniform(*_PATCH) * shape[0])
    patch = ndimage.gaussian_filter(soft_step(field - rng.uniform(*_LEAST), 0.3) * cytoplasm, _SOFT_PX)
    mitochondria = image[kinds == Organelle.MITOCHONDRION]
    darker = mitochondria.mean() - image[cytoplasm].mean() if mitochondria.size else -_DARKER
    vesicles = _vesicles(rng, shape, pixel_size_nm)
    crowded = image + patch * darker * (rng.uniform(*_DENSITY) + rng.uniform(*_CONTRAST) * vesicles)
    return np.asarray(np.clip(crowded, 0, 1), np.float32)


def _vesicles(rng: np.random.Generator, shape: tuple[int, int], pixel_size_nm: float) -> FloatImage:
    """Rings or discs at random places; 0 beside them, 1 where they are darkest."""
    radius = rng.uniform(*_RADIUS_NM) / pixel_size_nm
    wall = max(0.6, _MEMBRANE_NM / pixel_size_nm) * rng.uniform(*_BLUR)
    reach = int(np.ceil(radius + 2 * wall))
    step = np.arange(-reach, reach + 1)
    inside = np.hypot(step[:, None], step) - radius
    if rng.random() < _FILLED:
        inside = np.maximum(inside, 0)
    places = np.zeros(shape, np.float32)
    count = rng.poisson(rng.uniform(*_PER_UM2) * np.prod(shape) * pixel_size_nm**2 / 1e6)
    places[rng.integers(shape[0], size=count), rng.integers(shape[1], size=count)] = 1
    drawn = fftconvolve(places, np.exp(-0.5 * (inside / wall) ** 2).astype(np.float32), mode="same")
    return np.asarray(np.clip(drawn, 0, 1), np.float32)
