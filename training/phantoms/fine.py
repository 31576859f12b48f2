"""Fine structures of the cytoplasm: reticulum, Golgi, vesicles, glycogen, fuzz."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from training.phantoms.canvas import Canvas
from training.phantoms.cells import Cells
from training.phantoms.growth import unit
from training.phantoms.noise import FloatImage, Waves, soft_step
from training.phantoms.organelle import Organelle
from training.phantoms.shapes import Tube
from training.phantoms.space import Frame
from training.phantoms.tissue import Tissue

_MEMBRANE_NM = 8.0
_MOST_VESICLES = 2500


class Layer(Protocol):
    """Something that runs through the cytoplasm."""

    def paint(self, canvas: Canvas) -> None:
        """Paint it where the canvas has room."""


def draw_layers(rng: np.random.Generator, frame: Frame, tissue: Tissue, cells: Cells) -> list[Layer]:
    """The fine structures of a specimen."""
    layers: list[Layer] = [_draw_clouds(rng, tissue)]
    if tissue.reticulum > 0.1:
        layers.append(_draw_reticulum(rng, tissue.reticulum))
    if tissue.wraps > 0.1:
        start = rng.uniform(18, 45)
        gate = Waves.draw(rng, rng.uniform(300, 900), 24)
        layers.append(Wraps(gate, rng.uniform(-1, 0.6), (start, start + rng.uniform(18, 40)), tissue.wraps))
    if rng.random() < 0.7:
        layers.append(_draw_tubules(rng))
    if rng.random() < 0.4:
        layers.append(_draw_golgi(rng, frame))
    if tissue.vesicles > 0:
        layers.append(_draw_vesicles(rng, frame, tissue, cells))
    if tissue.glycogen > 0:
        layers.append(_draw_glycogen(rng, tissue.glycogen))
    return layers


@dataclass(frozen=True)
class Clouds:
    """Where the cytoplasm is denser, and dark fuzz at membranes: synapses, slants.

    Neither is as dark as mitochondria are, or it would be one whose membranes do not show.
    """

    clouds: Waves
    strength: float
    fuzz: Waves
    darkness: float
    reach_nm: float

    def paint(self, canvas: Canvas) -> None:
        y, x = canvas.rows_nm, canvas.columns_nm
        plain = canvas.kinds == Organelle.CYTOPLASM
        canvas.image += plain * np.float32(self.strength) * self.clouds.plane(canvas.z_nm, y, x)
        near = np.exp(-canvas.cells.edge / np.float32(self.reach_nm)) * plain
        spots = soft_step(self.fuzz.plane(canvas.z_nm, y, x) - np.float32(1.2), 0.4)
        canvas.image -= np.float32(self.darkness) * spots * near


def _draw_clouds(rng: np.random.Generator, tissue: Tissue) -> Clouds:
    most = max(0.06, 0.6 * tissue.contrast)
    return Clouds(
        Waves.draw(rng, rng.uniform(100, 500), 40),
        min(rng.uniform(0, 0.04), 0.25 * most),
        Waves.draw(rng, rng.uniform(80, 250), 64),
        min(float(rng.choice([0.0, rng.uniform(0.1, 0.3)])), most),
        rng.uniform(40, 200),
    )


@dataclass(frozen=True)
class Reticulum:
    """Paired membranes along the contour surfaces of a field; ribosomes make them rough."""

    terrain: Waves
    spacing: float
    gate: Waves
    threshold: float
    half_nm: float
    strength: float
    lumen: float
    """Brightness between the membranes, relative to the cytoplasm."""

    def paint(self, canvas: Canvas) -> None:
        y, x = canvas.rows_nm, canvas.columns_nm
        terrain = self.terrain.plane(canvas.z_nm, y, x)
        slope = self.terrain.slope(canvas.z_nm, y, x) + np.float32(1e-6)
        level = np.abs((terrain / np.float32(self.spacing)) % 1 - 0.5) * np.float32(self.spacing)
        distance = level / slope
        gate = soft_step(self.gate.plane(canvas.z_nm, y, x) - np.float32(self.threshold), 0.2)
        # Where the field is flat a slice runs along the sheet and shows no lines.
        shown = np.float32(self.strength) * gate * canvas.room * (slope > 0.25 * np.median(slope))
        canvas.image += (
            soft_step(np.float32(self.half_nm) - distance, canvas.frame.pixel_nm)
            * shown
            * np.float32(self.lumen)
        )
        canvas.stain(canvas.line(distance, self.half_nm, _MEMBRANE_NM) * shown)


def _draw_reticulum(rng: np.random.Generator, strength: float) -> Reticulum:
    scale = rng.uniform(150, 600)
    return Reticulum(
        terrain=Waves.draw(rng, scale, 48).drawn_out(rng, rng.uniform(0.15, 0.8)),
        spacing=rng.uniform(0.4, 1) if rng.random() < 0.3 else rng.uniform(1.5, 3.5),
        gate=Waves.draw(rng, 1.5 * scale, 48),
        threshold=rng.uniform(-0.4, 1.2),
        half_nm=rng.uniform(12, 35),
        strength=strength,
        lumen=rng.uniform(-0.05, 0.14),
    )


@dataclass(frozen=True)
class Tubules:
    """Thin dark tubes in all directions: smooth reticulum, cut into dots and short strokes."""

    first: Waves
    second: Waves
    thickness: float
    gate: Waves
    threshold: float
    darkness: float

    def paint(self, canvas: Canvas) -> None:
        z, y, x = canvas.z_nm, canvas.rows_nm, canvas.columns_nm
        # Two surfaces meet along lines.
        apart = np.hypot(self.first.plane(z, y, x), self.second.plane(z, y, x))
        inside = soft_step(np.float32(self.thickness) - apart, 0.12)
        gate = soft_step(self.gate.plane(z, y, x) - np.float32(self.threshold), 0.3)
        canvas.stain(inside * gate * canvas.room * np.float32(self.darkness))


def _draw_tubules(rng: np.random.Generator) -> Tubules:
    scale = rng.uniform(50, 130)
    return Tubules(
        Waves.draw(rng, scale, 90),
        Waves.draw(rng, scale, 90),
        rng.uniform(0.15, 0.4),
        Waves.draw(rng, rng.uniform(3, 8) * scale, 40),
        rng.uniform(-0.8, 0.8),
        rng.uniform(0.15, 0.6),
    )


@dataclass(frozen=True)
class Wraps:
    """Cisternae that follow the outlines of mitochondria."""

    gate: Waves
    threshold: float
    at_nm: tuple[float, float]
    """Distances of the two membranes."""
    strength: float

    def paint(self, canvas: Canvas) -> None:
        y, x = canvas.rows_nm, canvas.columns_nm
        gate = soft_step(self.gate.plane(canvas.z_nm, y, x) - np.float32(self.threshold), 0.2)
        gate *= (canvas.kinds == Organelle.CYTOPLASM) & (canvas.cells.edge > 15)
        gate *= canvas.nearest == Organelle.MITOCHONDRION
        between = canvas.line(-canvas.depth, float(np.mean(self.at_nm)), 0.3 * np.ptp(self.at_nm))
        canvas.image += np.float32(0.05 * self.strength) * between * gate
        for distance in self.at_nm:
            canvas.stain(
                canvas.line(-canvas.depth, distance, _MEMBRANE_NM) * gate * np.float32(self.strength)
            )


@dataclass(frozen=True)
class Golgi:
    """Stacks of flat cisternae."""

    stacks: tuple[Tube, ...]
    period_nm: float
    gaps: Waves
    strength: float

    def paint(self, canvas: Canvas) -> None:
        for stack in self.stacks:
            section = stack.cut(canvas.frame, canvas.z_nm, 0)
            if section is None:
                continue
            window = section.window
            y, x = (canvas.frame.rows_nm(side) for side in window)
            period = max(self.period_nm, 3 * canvas.frame.pixel_nm)
            offset = np.abs((section.depth / period) % 1 - 0.5) * np.float32(period)
            gate = soft_step(section.depth, 15.0) * canvas.room[window] * np.float32(self.strength)
            gate *= soft_step(self.gaps.plane(canvas.z_nm, y, x) + np.float32(0.6), 0.3)
            canvas.stain(canvas.line(offset, 0, _MEMBRANE_NM) * gate, window)


def _draw_golgi(rng: np.random.Generator, frame: Frame) -> Golgi:
    stacks = []
    for _ in range(rng.integers(1, 4)):
        centre, half = frame.scatter(rng, 1, 60)[0], rng.uniform(150, 450)
        way = unit(rng.standard_normal(3) * (0.4, 1, 1))
        bend = rng.normal(0, 0.3, 3) * half
        points = np.stack([centre - half * way, centre + bend, centre + half * way])
        radii = np.full((2, 2), rng.uniform(80, 180))
        stacks.append(Tube(points[:-1], points[1:], radii, np.array([0, half])))
    return Golgi(tuple(stacks), rng.uniform(30, 55), Waves.draw(rng, 90, 16), rng.uniform(0.4, 0.9))


@dataclass(frozen=True)
class Vesicles:
    """Small spheres, strewn or in clusters."""

    points: NDArray[np.float64]
    """(n, 3)"""
    radius_nm: float
    core: float
    """Brightness of the inside relative to the membrane's darkness, -1 to 1."""
    strength: float

    def paint(self, canvas: Canvas) -> None:
        height = np.abs(self.points[:, 0] - canvas.z_nm)
        met = height < self.radius_nm
        seen = np.sqrt(self.radius_nm**2 - height[met] ** 2) / self.radius_nm
        at = (self.points[met, 1:] / canvas.frame.pixel_nm).astype(int).clip(0, np.array(canvas.shape) - 1)
        for low, high in ((0.35, 0.75), (0.75, 1.01)):
            stamp = self._stamp(canvas, 0.5 * (low + min(high, 1)) * self.radius_nm)
            chosen = at[(seen >= low) & (seen < high)]
            _splat(canvas.image, chosen[canvas.room[chosen[:, 0], chosen[:, 1]] > 0.9], stamp)

    def _stamp(self, canvas: Canvas, radius_nm: float) -> FloatImage:
        pixel = canvas.frame.pixel_nm
        reach = int(np.ceil((radius_nm + 10) / pixel))
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32) * np.float32(pixel)
        distance = np.hypot(y, x)
        inside = soft_step(radius_nm - _MEMBRANE_NM - distance, 0.6 * pixel)
        ring = canvas.line(distance, radius_nm, _MEMBRANE_NM)
        stamp = self.strength * (self.core * inside - (1 - inside) * ring)
        return np.asarray(stamp * min(1.0, 2 * radius_nm / pixel / 4), np.float32)


def _splat(image: FloatImage, at: NDArray[np.int64], stamp: FloatImage) -> None:
    """Add `stamp` around each (row, column) of `at` that lies far enough from the border."""
    reach = stamp.shape[0] // 2
    inside = np.all((at >= reach) & (at < np.array(image.shape) - reach), axis=1)
    for y, x in at[inside]:
        image[y - reach : y + reach + 1, x - reach : x + reach + 1] += stamp


def _draw_vesicles(rng: np.random.Generator, frame: Frame, tissue: Tissue, cells: Cells) -> Vesicles:
    radius = rng.uniform(17, 48)
    layers = 1 + frame.extent_nm[0] / (2 * radius)
    points = frame.scatter(
        rng, min(int(4 * tissue.vesicles * frame.area_um2 * layers), frame.most(_MOST_VESICLES)), radius
    )
    crowd = Waves.draw(rng, rng.uniform(150, 500), 32).at(points)
    points = points[crowd > rng.uniform(0, 1.2)]
    points = points[cells.locate(points).room > 1.2 * radius] if len(points) else points
    return Vesicles(points, radius, rng.uniform(-0.5, 0.4), rng.uniform(0.1, 0.32))


@dataclass(frozen=True)
class Glycogen:
    """Dark rosettes in clouds."""

    clouds: Waves
    threshold: float
    grains: Waves
    fineness: float
    darkness: float

    def paint(self, canvas: Canvas) -> None:
        y, x = canvas.rows_nm, canvas.columns_nm
        crowd = soft_step(self.clouds.plane(canvas.z_nm, y, x) - np.float32(self.threshold), 0.4)
        grains = soft_step(self.grains.plane(canvas.z_nm, y, x) - np.float32(self.fineness), 0.3)
        canvas.stain(crowd * grains * canvas.room * np.float32(self.darkness))


def _draw_glycogen(rng: np.random.Generator, amount: float) -> Glycogen:
    return Glycogen(
        Waves.draw(rng, rng.uniform(200, 900), 32),
        1.0 - 2 * amount,
        Waves.draw(rng, rng.uniform(16, 45), 140),
        rng.uniform(0.9, 1.7),
        rng.uniform(0.6, 1.2),
    )
