"""Mitochondria: where they lie, their double membrane, their cristae."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.phantoms.bodies import Body, Profile
from training.phantoms.canvas import Canvas
from training.phantoms.cells import Cells
from training.phantoms.crowd import Crowd, area_seen
from training.phantoms.growth import Arms, Sprouts, choose_headings, grow, join_arms, unit
from training.phantoms.noise import FloatImage, Waves, soft_step
from training.phantoms.organelle import Organelle
from training.phantoms.shapes import Tube
from training.phantoms.space import Frame
from training.phantoms.tissue import Tissue

_MOST_CANDIDATES = 500
_OVERSAMPLED = 4  # most points lie too close to a membrane
_MEMBRANE_NM = 8.0
_THINNEST_NM = 75.0  # radius: two membranes and a little matrix


@dataclass(frozen=True)
class Habit:
    """How the mitochondria of one specimen are built."""

    cristae: str
    period_nm: float
    line_nm: float
    gap_nm: float
    """Between outer and inner membrane."""
    intermembrane: float
    """Brightness between the membranes, relative to the matrix."""
    membranes: float
    """How much of the stain's full strength the membranes take."""
    packing: float
    """Distance of neighbours in sums of their radii: below 1 they touch and flatten each other."""
    spread: float
    """Deviation of the logarithm of their widths."""
    swollen: float
    """Share with a pale matrix."""


@dataclass(frozen=True)
class Mitochondrion:
    """The look of one."""

    habit: Habit
    matrix: float
    """Brightness."""
    centre: NDArray[np.float64]
    """(2,) y, x in nanometres, about which radial cristae stand."""
    width_nm: float
    direction: NDArray[np.float64] | None
    """(3,) across which lamellar cristae lie; None where they lie across the length of a tube."""
    period_nm: float
    warp: Waves
    warp_nm: float
    gate: Waves
    openness: float
    """How much of the inside has cristae, about -1 to 1."""
    reach: float
    """How far cristae come in from the membrane, in half widths."""
    spots: tuple[NDArray[np.float64], ...]
    """Dense granules in the matrix: (3,) each."""

    def paint(self, canvas: Canvas, profile: Profile) -> None:
        tissue, habit, window = canvas.tissue, self.habit, profile.window
        inner_nm = _MEMBRANE_NM + habit.gap_nm
        inside = soft_step(profile.depth - np.float32(inner_nm), 0.8 * canvas.frame.pixel_nm)
        tone = np.float32(self.matrix) + np.float32(0.7 * tissue.texture) * canvas.grain[window]
        tone -= inside * np.float32(tissue.cristae) * self._cristae(canvas, profile)
        tone += (1 - inside) * np.float32(habit.intermembrane)
        self._dot(canvas, profile, tone)
        outer = canvas.line(profile.depth, 0.5 * _MEMBRANE_NM, _MEMBRANE_NM, profile.tilt)
        second = canvas.line(profile.depth, 0.5 * _MEMBRANE_NM + habit.gap_nm, _MEMBRANE_NM, profile.tilt)
        membranes = np.maximum(outer, 0.9 * second) * np.float32(habit.membranes)
        tone -= (tone - np.float32(tissue.membrane)) * membranes
        patch = canvas.image[window]
        patch += profile.opacity * (tone - patch)

    def _cristae(self, canvas: Canvas, profile: Profile) -> FloatImage:
        """How much of a crista each pixel holds, 0 to 1."""
        frame, habit, window = canvas.frame, self.habit, profile.window
        if habit.cristae == "plain":
            return np.zeros(profile.depth.shape, np.float32)
        y, x = frame.rows_nm(window[0]), frame.rows_nm(window[1])
        gate = soft_step(self.gate.plane(canvas.z_nm, y, x) + np.float32(self.openness), 0.3)
        gate *= soft_step(np.float32(self.reach * 0.5 * self.width_nm) - profile.depth, 0.12 * self.width_nm)
        warp = np.float32(self.warp_nm) * self.warp.plane(canvas.z_nm, y, x)
        if habit.cristae == "spotty":
            rings = np.abs(self.warp.plane(canvas.z_nm, y, x) - np.float32(0.5))
            return np.asarray(gate * soft_step(np.float32(0.25) - rings, 0.2), np.float32)
        dy, dx = (y - self.centre[0])[:, None], (x - self.centre[1])[None, :]
        if habit.cristae == "radial":
            turns = max(3, round(np.pi * self.width_nm / self.period_nm))
            phase = np.arctan2(dy, dx) / (2 * np.pi) * turns * self.period_nm + warp
        elif self.direction is None:
            phase = profile.along + warp
        else:
            phase = self.direction[1] * dy + self.direction[2] * dx + self.direction[0] * canvas.z_nm + warp
        offset = np.abs((phase / self.period_nm) % 1 - 0.5) * self.period_nm
        return gate * canvas.line(np.asarray(offset, np.float32), 0, 0.5 * habit.line_nm)

    def _dot(self, canvas: Canvas, profile: Profile, tone: FloatImage) -> None:
        rows, columns = profile.window
        for z, y, x in self.spots:
            row, column = int(canvas.px(y)) - rows.start, int(canvas.px(x)) - columns.start
            near = abs(z - canvas.z_nm) < 25
            if near and 1 <= row < tone.shape[0] - 1 and 1 <= column < tone.shape[1] - 1:
                tone[row - 1 : row + 1, column - 1 : column + 1] -= np.float32(0.3)


def place_mitochondria(
    rng: np.random.Generator, frame: Frame, tissue: Tissue, cells: Cells, crowd: Crowd
) -> list[Body]:
    """Mitochondria up to the tissue's crowding, as far as cells have room."""
    habit = _draw_habit(rng, tissue)
    points, widths = _draw_starts(rng, frame, tissue, habit)
    place = cells.locate(points)
    radii = np.minimum(0.5 * widths, 0.95 * place.room - 10)
    fits = np.flatnonzero(radii > np.maximum(0.32 * widths, _THINNEST_NM))[: len(points) // _OVERSAMPLED]
    points, radii, cell = points[fits], radii[fits], place.cell[fits]
    if not len(points):
        return []
    arms, branched = _grow_arms(rng, cells, tissue, points, radii)
    bodies, filled, goal = [], 0.0, tissue.crowding * frame.area_um2 * 1e6
    for index in range(len(points)):
        which = [index, index + len(points)] + ([index + 2 * len(points)] if branched[index] else [])
        clearance = rng.uniform(8, 40)
        tube = join_arms(rng, arms, which, float(radii[index]), clearance)
        if rng.random() < 0.08:
            tube = _pinch(rng, tube)
        if crowd.admit(tube, habit.packing):
            filled += area_seen(tube, frame)
            skin = _draw_skin(rng, tissue, habit, tube, float(cells.tone[cell[index]]))
            bodies.append(Body(Organelle.MITOCHONDRION, tube, skin, int(cell[index]), clearance))
        if filled >= goal:
            break
    return bodies


def _draw_habit(rng: np.random.Generator, tissue: Tissue) -> Habit:
    shares = [0.55, 0.3, 0.15, 0.0] if tissue.needs_cristae else [0.45, 0.2, 0.2, 0.15]
    if tissue.faint:  # lines tell them, spots would not
        shares = [0.65, 0.35, 0.0, 0.0]
    return Habit(
        cristae=str(rng.choice(["lamellar", "radial", "spotty", "plain"], p=shares)),
        period_nm=rng.uniform(38, 100),
        line_nm=rng.uniform(14 if tissue.faint else 8, 22),
        gap_nm=rng.uniform(10, 22),
        intermembrane=rng.uniform(0, 0.14),
        membranes=rng.uniform(0.7 if tissue.faint else 0.35, 1),
        packing=float(rng.choice([0.82, 0.95, 1.08])),
        spread=rng.uniform(0.12, 0.4),
        swollen=float(rng.choice([0.0, 0.05], p=[0.8, 0.2])),
    )


def _draw_starts(
    rng: np.random.Generator, frame: Frame, tissue: Tissue, habit: Habit
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 3) points and (n,) widths of more mitochondria than will fit."""
    width = tissue.mitochondrion_nm
    elongation = 1 + tissue.tubular * 0.5 * tissue.length * (1 - 0.6 * tissue.tilted)
    goal = tissue.crowding * frame.area_um2 * 1e6 / (0.8 * width**2 * elongation)
    layers = 1 + frame.extent_nm[0] / width
    count = _OVERSAMPLED * int(
        np.clip(10 + 4 * goal * layers, 20, frame.most(_MOST_CANDIDATES) * min(layers, 6))
    )
    points = frame.scatter(rng, count, 0.3 * width)
    beside = np.flatnonzero(rng.random(count - 1) < tissue.clustered) + 1
    for index in beside:
        points[index] = points[index - 1] + width * rng.uniform(0.9, 1.5) * unit(
            rng.standard_normal(3) * (0.3, 1, 1)
        )
    return points, width * np.exp(rng.normal(0, habit.spread, count))


def _grow_arms(
    rng: np.random.Generator,
    cells: Cells,
    tissue: Tissue,
    points: NDArray[np.float64],
    radii: NDArray[np.float64],
) -> tuple[Arms, NDArray[np.bool_]]:
    """Two arms for each, forward then backward, and a third for those that are branched."""
    n = len(points)
    long = rng.random(n) < tissue.tubular
    ratio = np.where(long, tissue.length * np.exp(rng.normal(0, 0.4, n)), rng.uniform(0.05, 1.2, n))
    thin = np.where(long, rng.uniform(0.6, 1, n), 1)
    radii[:] = np.maximum(radii * thin, _THINNEST_NM)
    headings = choose_headings(rng, cells, points, 3 * radii, tissue.tilted)
    aside = unit(rng.standard_normal((n, 3)) * (tissue.tilted, 1, 1))
    branched = long & (rng.random(n) < 0.14)
    share = rng.uniform(0.2, 0.8, n)
    lengths = 2 * radii * ratio
    sprouts = Sprouts(
        np.concatenate([points, points, points[branched]]),
        np.concatenate([headings, -headings, aside[branched]]),
        np.concatenate([lengths * share, lengths * (1 - share), 0.4 * lengths[branched]]),
        np.concatenate([radii, radii, radii[branched]]),
    )
    arms = grow(rng, cells, sprouts, rng.uniform(0.12, 0.4), max(tissue.tilted, 0.15))
    return _spread_third(arms, branched), branched


def _spread_third(arms: Arms, branched: NDArray[np.bool_]) -> Arms:
    """Third arms at the rows of their tubes, so that row i + 2 n is the third arm of tube i."""
    n = len(branched)
    rows = np.zeros(n, np.intp)
    rows[branched] = 2 * n + np.arange(np.count_nonzero(branched))
    order = np.concatenate([np.arange(2 * n), rows])
    return Arms(arms.points[order], arms.room[order], arms.count[order])


def _pinch(rng: np.random.Generator, tube: Tube) -> Tube:
    """A mitochondrion that divides: narrow where its arms begin, if it is long enough there."""
    first = np.all(tube.starts == tube.starts[0], axis=1)
    length = np.linalg.norm(tube.ends - tube.starts, axis=1)[first].min()
    radii = tube.radii.copy()
    radii[first, 0] = np.maximum(radii[first, 0] * rng.uniform(0.35, 0.6), radii[first, 1] - 0.6 * length)
    radii[first, 0] = radii[first, 0].max()
    return replace(tube, radii=radii)


def _draw_skin(
    rng: np.random.Generator, tissue: Tissue, habit: Habit, tube: Tube, tone: float
) -> Mitochondrion:
    matrix = tissue.matrix(tone) + rng.normal(0, 0.025)
    if rng.random() < habit.swollen:
        matrix += 0.6 * tissue.contrast
    width = 2 * float(tube.radii.max())
    length = float(np.ptp(tube.travelled)) + float(np.linalg.norm(tube.ends[-1] - tube.starts[-1]))
    period = habit.period_nm * rng.uniform(0.85, 1.2)
    points, radii = tube.samples()
    spots = rng.integers(len(points), size=rng.poisson(1.5) if rng.random() < 0.2 else 0)
    # Nothing else tells a pale one from a vesicle, or a dark one from a lipid droplet.
    told = tissue.faint or tissue.droplets > 0
    openness, reaches = (0.5, (0.8, 2.0)) if told else (-0.2, (0.5, 0.8, 2.0))
    return Mitochondrion(
        habit=habit,
        matrix=matrix,
        centre=points.mean(axis=0)[1:],
        width_nm=width,
        direction=None if length > 1.5 * width else unit(rng.standard_normal(3)),
        period_nm=period,
        warp=Waves.draw(rng, 1.6 * period, 12),
        warp_nm=rng.uniform(0.15, 0.5) * period,
        gate=Waves.draw(rng, rng.uniform(0.7, 2.5) * period, 16),
        openness=rng.uniform(openness, 1.0),
        reach=float(rng.choice(reaches)),
        spots=tuple(points[spot] + 0.5 * radii[spot] * rng.uniform(-1, 1, 3) for spot in spots),
    )
