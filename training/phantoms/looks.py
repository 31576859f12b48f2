"""How a microscope shows a specimen: blur, grey levels, noise, shading, stripes."""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms.noise import FloatImage, smooth_noise


class Microscope(StrEnum):
    """The instruments that are imitated."""

    TEM = "tem"
    SBEM = "sbem"
    FIB_SEM = "fib-sem"


def photograph(rng: np.random.Generator, scene: FloatImage, microscope: Microscope) -> NDArray[np.uint8]:
    """The (H, W) grey image that `microscope` takes of `scene` (brightness, 0 to 1)."""
    image = _blur(rng, scene, microscope)
    image = _expose(rng, image, microscope)
    image = _shade(rng, image)
    if microscope is Microscope.FIB_SEM and rng.random() < 0.7:
        image += rng.uniform(0.01, 0.05) * _curtains(rng, image.shape)
    image += _grain(rng, image, microscope)
    return np.asarray(np.clip(255 * image + 0.5, 0, 255), np.uint8)


def _blur(rng: np.random.Generator, scene: FloatImage, microscope: Microscope) -> FloatImage:
    widest = {Microscope.TEM: 0.9, Microscope.SBEM: 1.5, Microscope.FIB_SEM: 1.3}[microscope]
    sigma = rng.uniform(0.3, widest)
    return np.asarray(ndimage.gaussian_filter(scene, sigma), np.float32)


def _expose(rng: np.random.Generator, image: FloatImage, microscope: Microscope) -> FloatImage:
    """Stretch to the instrument's usual mean and contrast, then bend the tone curve."""
    mean, deviation = {
        Microscope.TEM: (rng.uniform(0.45, 0.72), rng.uniform(0.07, 0.17)),
        Microscope.SBEM: (rng.uniform(0.4, 0.7), rng.uniform(0.1, 0.21)),
        Microscope.FIB_SEM: (rng.uniform(0.4, 0.72), rng.uniform(0.06, 0.16)),
    }[microscope]
    image = np.clip(image, -0.2, 1.2)
    image = (image - image.mean()) / (image.std() + 1e-6) * deviation + mean
    gamma = np.exp(rng.normal(0, 0.2))
    return np.asarray(np.clip(image, 0, 1.2) ** gamma, np.float32)


def _shade(rng: np.random.Generator, image: FloatImage) -> FloatImage:
    field = smooth_noise(rng, (image.shape[0], image.shape[1]), 0.7 * max(image.shape))
    return np.asarray(image * (1 + rng.uniform(0, 0.08) * field), np.float32)


def _curtains(rng: np.random.Generator, shape: tuple[int, ...]) -> FloatImage:
    """Stripes that run down from where the beam was disturbed."""
    columns = ndimage.gaussian_filter1d(rng.standard_normal(shape[1]), rng.uniform(0.5, 3))
    fading = smooth_noise(rng, (shape[0], shape[1]), 0.4 * shape[0])
    stripes = columns / (columns.std() + 1e-6) * (1 + 0.5 * fading)
    return np.asarray(stripes, np.float32)


def _grain(rng: np.random.Generator, image: FloatImage, microscope: Microscope) -> FloatImage:
    """Shot noise, noise that a detector smears, and unsteady scan lines."""
    shape = (image.shape[0], image.shape[1])
    strongest = {Microscope.TEM: 0.07, Microscope.SBEM: 0.09, Microscope.FIB_SEM: 0.07}[microscope]
    white = rng.uniform(0.005, strongest) * smooth_noise(rng, shape, 0)
    if rng.random() < 0.5:
        white *= np.sqrt(np.clip(image, 0.05, 1.2) / 0.6)
    smeared = rng.uniform(0, 0.035) * smooth_noise(rng, shape, rng.uniform(1, 2.5))
    grain = white + smeared
    if microscope is not Microscope.TEM and rng.random() < 0.3:
        grain += rng.uniform(0, 0.015) * rng.standard_normal((shape[0], 1))
    return np.asarray(grain, np.float32)
