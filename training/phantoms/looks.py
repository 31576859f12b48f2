"""How a microscope shows a specimen: blur, grey levels, noise, shading, polarity."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms.artefacts import Artefact, draw_artefacts
from training.phantoms.noise import FloatImage, smooth_noise


class Microscope(StrEnum):
    """The instruments that are imitated."""

    TEM = "tem"
    SSTEM = "sstem"
    SBEM = "sbem"
    FIB_SEM = "fib-sem"


@dataclass(frozen=True)
class _Limits:
    """What an instrument's images are like, from where to where; grey values run from 0 to 1."""

    blur_px: tuple[float, float]
    mean: tuple[float, float]
    deviation: tuple[float, float]
    white: tuple[float, float]
    """Deviation of noise that differs from pixel to pixel."""
    smeared: tuple[float, float]
    """Deviation of noise that a detector smears."""


_LIMITS = {
    Microscope.TEM: _Limits((0.4, 1.1), (0.4, 0.7), (0.05, 0.16), (0.004, 0.04), (0, 0.02)),
    Microscope.SSTEM: _Limits((0.4, 1.2), (0.42, 0.72), (0.08, 0.18), (0.006, 0.06), (0, 0.03)),
    Microscope.SBEM: _Limits((0.6, 1.8), (0.36, 0.66), (0.13, 0.24), (0.006, 0.08), (0, 0.04)),
    Microscope.FIB_SEM: _Limits((0.4, 1.3), (0.4, 0.72), (0.06, 0.16), (0.006, 0.06), (0, 0.03)),
}
_SHARES = (0.28, 0.16, 0.32, 0.24)
_INVERTED = 0.03
_BLACK = 0.08
"""Brightness of a scene that no exposure shows darker than black: what differs above it can be told apart."""
_BRIGHTEST_MEAN = 0.72


@dataclass(frozen=True)
class Look:
    """One instrument with its settings, the same for all slices of a volume."""

    blur_px: float
    mean: float
    deviation: float
    gamma: float
    white: float
    smeared: float
    smear_px: float
    shot: bool
    """Whether noise grows with brightness."""
    shading: float
    shading_scale: float
    """Extent of the uneven illumination, in sides of the image."""
    scan_lines: float
    flicker: float
    """How much brightness differs between slices."""
    inverted: bool
    artefacts: tuple[Artefact, ...]


@dataclass(frozen=True)
class Exposure:
    """Mean and deviation of the brightness that an exposure was set by."""

    mean: float
    deviation: float


def draw_look(rng: np.random.Generator, pixel_nm: float) -> Look:
    """An instrument and its settings."""
    microscope = list(Microscope)[rng.choice(len(Microscope), p=_SHARES)]
    limits = _LIMITS[microscope]
    deviation = rng.uniform(*limits.deviation)
    return Look(
        blur_px=rng.uniform(*limits.blur_px),
        mean=rng.uniform(*limits.mean),
        deviation=deviation,
        gamma=float(np.exp(rng.normal(0, 0.14))),
        # Noise far above the contrast would hide what the truth says is there.
        white=min(float(np.exp(rng.uniform(*np.log(limits.white)))), 0.45 * deviation),
        smeared=min(rng.uniform(*limits.smeared), 0.25 * deviation),
        smear_px=rng.uniform(1, 2.5),
        shot=bool(rng.random() < 0.5),
        shading=rng.uniform(0, 0.09),
        shading_scale=rng.uniform(0.3, 1.2),
        scan_lines=rng.uniform(0, 0.015) if rng.random() < 0.3 else 0.0,
        flicker=rng.uniform(0, 0.02),
        inverted=bool(rng.random() < _INVERTED),
        artefacts=draw_artefacts(rng, pixel_nm, curtained=microscope is Microscope.FIB_SEM),
    )


def meter(scene: FloatImage) -> Exposure:
    """The exposure that suits a scene."""
    clipped = np.clip(scene, -0.2, 1.2)
    return Exposure(float(clipped.mean()), float(clipped.std()) + 1e-6)


def photograph(
    rng: np.random.Generator, scene: FloatImage, look: Look, exposure: Exposure
) -> NDArray[np.uint8]:
    """The (H, W) grey image of a slice `scene` (brightness, 0 to 1)."""
    shape = (scene.shape[0], scene.shape[1])
    image = np.clip(scene, -0.2, 1.2)
    for artefact in look.artefacts:
        image = artefact.mark(rng, image)
    image = np.asarray(ndimage.gaussian_filter(image, look.blur_px), np.float32)
    below = exposure.mean - _BLACK
    gain = min(look.deviation / exposure.deviation, _BRIGHTEST_MEAN / below)
    image = gain * (image - exposure.mean) + max(look.mean, gain * below)
    image = np.clip(image + look.flicker * rng.normal(), 0, 1.2) ** look.gamma
    if look.shading:
        field = smooth_noise(rng, shape, look.shading_scale * max(shape))
        image = image * (1 + look.shading * field)
    image = image + _grain(rng, image, look)
    if look.inverted:
        image = 1 - image
    return np.asarray(np.clip(255 * image + 0.5, 0, 255), np.uint8)


def _grain(rng: np.random.Generator, image: FloatImage, look: Look) -> FloatImage:
    """Shot noise, noise that a detector smears, and unsteady scan lines."""
    shape = (image.shape[0], image.shape[1])
    white = look.white * smooth_noise(rng, shape, 0)
    if look.shot:
        white *= np.sqrt(np.clip(image, 0.05, 1.2) / 0.6)
    grain = white + look.smeared * smooth_noise(rng, shape, look.smear_px)
    if look.scan_lines:
        grain = grain + look.scan_lines * rng.standard_normal((shape[0], 1))
    return np.asarray(grain, np.float32)
