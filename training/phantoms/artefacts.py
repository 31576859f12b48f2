"""What cutting, staining and the beam leave on a slice."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import ndimage

from training.phantoms.noise import FloatImage, smooth_noise, soft_step


class Artefact(Protocol):
    """Something that is no tissue."""

    def mark(self, rng: np.random.Generator, image: FloatImage) -> FloatImage:
        """`image` (H, W), brightness from 0 to 1, with the artefact."""


def draw_artefacts(rng: np.random.Generator, pixel_nm: float, *, curtained: bool) -> tuple[Artefact, ...]:
    """Few images have any; milled ones mostly have curtains."""
    chances: list[tuple[float, Artefact]] = [
        (0.65 if curtained else 0.02, Curtains(rng.uniform(0.005, 0.05), rng.uniform(0.5, 3))),
        (0.1, KnifeMarks(rng.uniform(0, np.pi), int(rng.integers(1, 9)), rng.uniform(-0.25, 0.3))),
        (0.07, Fold(rng.uniform(0, np.pi), rng.uniform(30, 120) / pixel_nm, rng.uniform(0.2, 0.6))),
        (0.14, Precipitate(rng.uniform(0.2, 6) * pixel_nm**2 / 1e6, rng.uniform(5, 20) / pixel_nm)),
        (0.1, Charging(rng.uniform(0.05, 0.25))),
        (0.06, Contamination(rng.uniform(0.05, 0.2))),
    ]
    return tuple(artefact for chance, artefact in chances if rng.random() < chance)


@dataclass(frozen=True)
class Curtains:
    """Stripes that run down from where the ion beam was disturbed."""

    strength: float
    width_px: float

    def mark(self, rng: np.random.Generator, image: FloatImage) -> FloatImage:
        shape = (image.shape[0], image.shape[1])
        columns = ndimage.gaussian_filter1d(rng.standard_normal(shape[1]), self.width_px)
        fading = 1 + 0.5 * smooth_noise(rng, shape, 0.4 * shape[0])
        return np.asarray(image + self.strength * columns / (columns.std() + 1e-6) * fading, np.float32)


@dataclass(frozen=True)
class KnifeMarks:
    """Straight scratches side by side."""

    angle: float
    count: int
    brightness: float

    def mark(self, rng: np.random.Generator, image: FloatImage) -> FloatImage:
        across = _across(image.shape, self.angle)
        for at in rng.uniform(across.min(), across.max(), self.count):
            width = rng.uniform(0.7, 2.5)
            image = image + self.brightness * rng.uniform(0.3, 1) * np.exp(-(((across - at) / width) ** 2))
        return np.asarray(image, np.float32)


@dataclass(frozen=True)
class Fold:
    """A band in which the section lies double."""

    angle: float
    width_px: float
    darkness: float

    def mark(self, rng: np.random.Generator, image: FloatImage) -> FloatImage:
        shape = (image.shape[0], image.shape[1])
        across = _across(shape, self.angle) + 0.03 * shape[0] * smooth_noise(rng, shape, 0.4 * shape[0])
        at = rng.uniform(across.min(), across.max())
        band = soft_step(0.5 * self.width_px - np.abs(across - at), 1.5)
        return np.asarray(image - self.darkness * band, np.float32)


@dataclass(frozen=True)
class Precipitate:
    """Black specks of stain."""

    per_pixel: float
    radius_px: float

    def mark(self, rng: np.random.Generator, image: FloatImage) -> FloatImage:
        count = min(int(rng.poisson(self.per_pixel * image.size)), 300)
        image = image.copy()
        for y, x in rng.uniform((0, 0), image.shape, (count, 2)):
            radius = max(0.6, self.radius_px * rng.uniform(0.5, 1.3))
            top, left = int(max(0, y - 3 * radius)), int(max(0, x - 3 * radius))
            patch = image[top : int(y + 3 * radius) + 2, left : int(x + 3 * radius) + 2]
            rows = np.arange(patch.shape[0], dtype=np.float32)[:, None] + top - y
            columns = np.arange(patch.shape[1], dtype=np.float32)[None, :] + left - x
            patch -= (patch - np.float32(0.02)) * soft_step(radius - np.hypot(rows, columns), 0.7)
        return image


@dataclass(frozen=True)
class Charging:
    """Bright smears along the scan where the specimen holds electrons."""

    strength: float

    def mark(self, rng: np.random.Generator, image: FloatImage) -> FloatImage:
        shape = (image.shape[0], image.shape[1])
        spots = soft_step(smooth_noise(rng, shape, 0.2 * shape[0]) - rng.uniform(1, 1.8), 0.5)
        drawn = ndimage.uniform_filter1d(spots, max(3, shape[1] // 6), axis=1)
        return np.asarray(
            image + self.strength * drawn * (1 + 0.2 * rng.standard_normal((shape[0], 1))), np.float32
        )


@dataclass(frozen=True)
class Contamination:
    """A dark haze with soft borders."""

    darkness: float

    def mark(self, rng: np.random.Generator, image: FloatImage) -> FloatImage:
        shape = (image.shape[0], image.shape[1])
        haze = soft_step(smooth_noise(rng, shape, 0.25 * shape[0]) - rng.uniform(0.8, 1.6), 0.8)
        return np.asarray(image - self.darkness * haze, np.float32)


def _across(shape: tuple[int, ...], angle: float) -> FloatImage:
    """(H, W): distance in pixels across a direction."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.cos(angle) * y + np.sin(angle) * x, np.float32)
