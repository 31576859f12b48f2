"""Outlines of organelles: tubes, branches and blobs around a spine."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantoms.noise import FloatImage

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Spine:
    """A bent line with a radius at each point; `points` is (n, 2) in (y, x) pixels, `radii` (n,)."""

    points: NDArray[np.float64]
    radii: NDArray[np.float64]

    def window(self, shape: tuple[int, int], margin: float) -> Window | None:
        """The part of an image of `shape` that the spine can reach; None when it lies outside."""
        reach = float(self.radii.max()) + margin
        low = np.maximum(np.floor(self.points.min(axis=0) - reach), 0).astype(int)
        high = np.minimum(np.ceil(self.points.max(axis=0) + reach), shape).astype(int)
        if np.any(high - low < 3):
            return None
        return slice(low[0], high[0]), slice(low[1], high[1])


@dataclass(frozen=True)
class Field:
    """A spine seen from each pixel of a window; every array is (h, w)."""

    depth: FloatImage
    """Signed distance into the shape, in pixels; positive inside."""
    along: FloatImage
    """Position along the spine, in pixels."""
    across: FloatImage
    """Distance from the spine, in pixels."""


def walk(
    rng: np.random.Generator, start: NDArray[np.float64], heading: float, length: float, radius: float
) -> Spine:
    """A tube of `length` between its end caps, bending at random, of uneven thickness."""
    count = max(2, min(12, 2 + int(length / max(radius, 1))))
    bend = rng.normal(0, 0.15) + rng.normal(0, 0.16, count - 1)
    headings = heading + np.cumsum(bend) - bend.sum() / 2
    steps = length / (count - 1) * np.stack([np.sin(headings), np.cos(headings)], axis=1)
    points = np.vstack([np.zeros(2), np.cumsum(steps, axis=0)])
    points += start - points.mean(axis=0)
    radii = radius * np.exp(rng.normal(0, 0.12, count))
    if rng.random() < 0.3:
        radii *= np.linspace(1, rng.uniform(0.45, 0.9), count)
    return Spine(points, radii)


def measure(spine: Spine, window: Window) -> Field:
    """Distances of the window's pixels to the spine."""
    y = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None]
    x = np.arange(window[1].start, window[1].stop, dtype=np.float32)[None, :]
    shape = (y.size, x.size)
    depth = np.full(shape, -np.inf, np.float32)
    along, across = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    travelled = 0.0
    for index in range(len(spine.points) - 1):
        (y0, x0), (dy, dx) = spine.points[index], spine.points[index + 1] - spine.points[index]
        length = float(np.hypot(dy, dx)) + 1e-6
        fraction = np.clip(((y - y0) * dy + (x - x0) * dx) / length**2, 0, 1)
        distance = np.hypot(y - y0 - fraction * dy, x - x0 - fraction * dx)
        radius = spine.radii[index] + fraction * (spine.radii[index + 1] - spine.radii[index])
        nearer = radius - distance > depth
        depth = np.where(nearer, radius - distance, depth)
        across = np.where(nearer, distance, across)
        along = np.where(nearer, travelled + fraction * length, along)
        travelled += length
    return Field(depth.astype(np.float32), along.astype(np.float32), across.astype(np.float32))


def join(first: Field, second: Field) -> Field:
    """Both shapes in one."""
    nearer = second.depth > first.depth
    return Field(
        np.where(nearer, second.depth, first.depth),
        np.where(nearer, second.along, first.along),
        np.where(nearer, second.across, first.across),
    )


def blob(
    rng: np.random.Generator, centre: NDArray[np.float64], radius: float, elongation: float = 1.2
) -> Spine:
    """A round or oval outline."""
    length = radius * max(0.05, 2 * (rng.uniform(1, elongation) - 1))
    heading = rng.uniform(0, np.pi)
    half = 0.5 * length * np.array([np.sin(heading), np.cos(heading)])
    return Spine(np.stack([centre - half, centre + half]), radius * np.exp(rng.normal(0, 0.08, 2)))
