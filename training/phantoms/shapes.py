"""Bodies in space: tubes with branches, ellipsoids, and what a slice shows of them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.phantoms.noise import FloatImage, Waves
from training.phantoms.space import Frame, Window

_FAR_NM = -1e4


@dataclass(frozen=True)
class Section:
    """A body as a slice shows it; every array is (h, w) over the pixels of `window`."""

    window: Window
    depth: FloatImage
    """Signed distance into the body in space, in nanometres; positive inside."""
    along: FloatImage
    """Position along the body's length, in nanometres."""
    tilt: FloatImage
    """0 where the slice cuts the surface straight, 1 where it runs along the surface."""


class Shape(Protocol):
    """Anything that can be cut."""

    def cut(self, frame: Frame, z_nm: float, margin_nm: float) -> Section | None:
        """What the slice at `z_nm` shows, up to `margin_nm` around; None where it misses the body."""


@dataclass(frozen=True)
class Tube:
    """Cones with round ends, end to end; arms that begin at one point make a branched tube."""

    starts: NDArray[np.float64]
    """(n, 3)"""
    ends: NDArray[np.float64]
    """(n, 3)"""
    radii: NDArray[np.float64]
    """(n, 2), at start and end."""
    travelled: NDArray[np.float64]
    """(n,) position of each start along the tube."""
    bumps: Waves | None = None
    bumps_nm: float = 0.0
    """Deviation of the outline from that of the cones."""

    def samples(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(m, 3) middles and (m,) radii of balls that fill the tube."""
        halves = 0.5 * (self.starts + self.ends)
        points = np.concatenate([self.starts, halves, self.ends[-1:]])
        radii = np.concatenate([self.radii[:, 0], self.radii.mean(axis=1), self.radii[-1:, 1]])
        return points, radii

    def cut(self, frame: Frame, z_nm: float, margin_nm: float) -> Section | None:
        reach = self.radii.max(axis=1) + 2.5 * self.bumps_nm
        low = np.minimum(self.starts, self.ends) - (reach + margin_nm)[:, None]
        high = np.maximum(self.starts, self.ends) + (reach + margin_nm)[:, None]
        met = np.flatnonzero((low[:, 0] + margin_nm < z_nm) & (z_nm < high[:, 0] - margin_nm))
        if not met.size:
            return None
        window = frame.window(low[met, 1:].min(axis=0), high[met, 1:].max(axis=0))
        if window is None:
            return None
        shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
        depth = np.full(shape, _FAR_NM, np.float32)
        section = Section(window, depth, np.zeros(shape, np.float32), np.zeros(shape, np.float32))
        for index in met:
            part = frame.window(low[index, 1:], high[index, 1:])
            if part is not None:
                self._add_cone(section, frame, z_nm, int(index), part)
        if self.bumps is not None:
            y, x = frame.rows_nm(window[0]), frame.rows_nm(window[1])
            depth += np.float32(self.bumps_nm) * self.bumps.plane(z_nm, y, x)
        return section if depth.max() > 0 else None

    def _add_cone(self, section: Section, frame: Frame, z_nm: float, index: int, part: Window) -> None:
        y0, x0 = section.window[0].start, section.window[1].start
        inside = (
            slice(part[0].start - y0, part[0].stop - y0),
            slice(part[1].start - x0, part[1].stop - x0),
        )
        start, axis = self.starts[index], self.ends[index] - self.starts[index]
        length = float(np.linalg.norm(axis)) + 1e-6
        z = z_nm - float(start[0])
        y = (frame.rows_nm(part[0]) - start[1]).astype(np.float32)[:, None]
        x = (frame.rows_nm(part[1]) - start[2]).astype(np.float32)[None, :]
        axis32 = axis.astype(np.float32) / np.float32(length**2)
        share = np.clip((y * axis32[1] + np.float32(z * axis32[0])) + x * axis32[2], 0, 1)
        height = np.float32(z) - share * np.float32(axis[0])
        square = height**2 + (y - share * np.float32(axis[1])) ** 2 + (x - share * np.float32(axis[2])) ** 2
        distance = np.sqrt(square)
        first, last = self.radii[index]
        depth = np.float32(first) + share * np.float32(last - first) - distance
        held = section.depth[inside]
        nearer = depth > held
        held[nearer] = depth[nearer]
        section.tilt[inside][nearer] = (np.abs(height) / (distance + np.float32(1e-3)))[nearer]
        section.along[inside][nearer] = (np.float32(self.travelled[index]) + share * np.float32(length))[
            nearer
        ]


def ball(centre: NDArray[np.float64], radius: float, stretch: NDArray[np.float64]) -> Tube:
    """A round body, drawn out by the vector `stretch`."""
    return Tube(
        (centre - stretch / 2)[None],
        (centre + stretch / 2)[None],
        np.array([[radius, radius]]),
        np.zeros(1),
    )


@dataclass(frozen=True)
class Ellipsoid:
    """A body with three axes and an uneven surface."""

    centre: NDArray[np.float64]
    """(3,)"""
    radius_nm: float
    """Of the longest axis."""
    shrink: NDArray[np.float64]
    """(3, 3): takes a vector from the centre to one that is shorter than 1 inside."""
    bumps: Waves
    bumps_nm: float

    def depth(self, points: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) distances into the body, to first order, and (n,) tilts, at (n, 3) points."""
        scaled = (points - self.centre) @ self.shrink.T
        length = np.linalg.norm(scaled, axis=1) + 1e-9
        slope = (scaled / length[:, None]) @ self.shrink  # (n, 3) gradient of the length
        steepness = np.linalg.norm(slope, axis=1)
        depth = (1 - length) / steepness + self.bumps_nm * self.bumps.at(points)
        return depth, np.abs(slope[:, 0]) / steepness

    def cut(self, frame: Frame, z_nm: float, margin_nm: float) -> Section | None:
        reach = self.radius_nm + 2.5 * self.bumps_nm + margin_nm
        if abs(z_nm - self.centre[0]) > reach:
            return None
        window = frame.window(self.centre[1:] - reach, self.centre[1:] + reach)
        if window is None:
            return None
        rows, columns = (frame.rows_nm(side)[::2] for side in window)
        depth, tilt = self.depth(grid_points(z_nm, rows, columns))
        shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
        fine = refine(depth.reshape(rows.size, columns.size), shape)
        if fine.max() <= 0:
            return None
        slant = refine(tilt.reshape(rows.size, columns.size), shape)
        return Section(window, fine, np.zeros(shape, np.float32), slant)


def draw_ellipsoid(
    rng: np.random.Generator,
    centre: NDArray[np.float64],
    radius_nm: float,
    flattest: float,
    bumps: float,
) -> Ellipsoid:
    """An ellipsoid turned at random; its shorter axes are `flattest` to 1 times the longest."""
    axes = radius_nm * np.array([1.0, rng.uniform(flattest, 1), rng.uniform(flattest, 1)])
    shrink = np.diag(1 / axes) @ random_turn(rng)
    return Ellipsoid(
        centre, radius_nm, shrink, Waves.draw(rng, rng.uniform(0.45, 0.9) * radius_nm, 16), bumps * radius_nm
    )


def random_turn(rng: np.random.Generator, tilted: float = 1.0) -> NDArray[np.float64]:
    """(3, 3) rotation, all equally likely; the less `tilted`, the more its first axis keeps to the slice."""
    rows = rng.standard_normal((3, 3))
    rows[0, 0] *= tilted
    q, r = np.linalg.qr(rows.T)
    return np.asarray((q * np.sign(np.diag(r))).T)


def grid_points(z_nm: float, y_nm: NDArray[np.floating], x_nm: NDArray[np.floating]) -> NDArray[np.float64]:
    """(h * w, 3) points of a slice, row by row."""
    y, x = np.meshgrid(y_nm, x_nm, indexing="ij")
    return np.stack([np.full(y.size, z_nm), y.ravel(), x.ravel()], axis=1)


def refine(coarse: NDArray[np.floating], plane: tuple[int, int]) -> FloatImage:
    """(H, W) values of which every second in both directions is given, the rest interpolated."""
    values = np.asarray(coarse, np.float32)
    for axis in (0, 1):
        values = np.moveaxis(values, axis, 0)
        fine = np.empty((2 * values.shape[0], values.shape[1]), np.float32)
        fine[::2] = values
        fine[1:-1:2] = 0.5 * (values[:-1] + values[1:])
        fine[-1] = values[-1]
        values = np.moveaxis(fine, 0, axis)
    return np.ascontiguousarray(values[: plane[0], : plane[1]])
