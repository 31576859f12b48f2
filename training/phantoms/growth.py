"""Tubes that find their way through cells."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantoms.cells import Cells
from training.phantoms.noise import Waves
from training.phantoms.shapes import Tube

_STEPS = 8
_CHOICES = 4
_STEEPEST = 0.6
_LEAST_ROOM = 0.45  # of the radius, or the tube ends here


@dataclass(frozen=True)
class Sprouts:
    """Where tubes begin, which way and how far they want to grow; every array has n rows."""

    points: NDArray[np.float64]
    """(n, 3)"""
    headings: NDArray[np.float64]
    """(n, 3) of unit length."""
    lengths: NDArray[np.float64]
    radii: NDArray[np.float64]


@dataclass(frozen=True)
class Arms:
    """Grown arms: `points` (n, steps + 1, 3), `room` (n, steps + 1) there, `count` (n,) of valid points."""

    points: NDArray[np.float64]
    room: NDArray[np.float64]
    count: NDArray[np.int64]


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors of length 1."""
    return np.asarray(vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9))


def choose_headings(
    rng: np.random.Generator,
    cells: Cells,
    points: NDArray[np.float64],
    reach_nm: NDArray[np.float64],
    tilted: float,
) -> NDArray[np.float64]:
    """(n, 3) directions in which cells run on at (n, 3) points; `tilted` 0 keeps to the slice."""
    tries = unit(rng.standard_normal((len(points), _CHOICES, 3)) * (tilted, 1, 1))
    steps = tries * reach_nm[:, None, None]
    both = np.stack([points[:, None] + steps, points[:, None] - steps])  # (2, n, tries, 3)
    room = cells.locate(both.reshape(-1, 3)).room.reshape(2, len(points), _CHOICES)
    best = np.minimum(room, 2 * reach_nm[:, None]).sum(axis=0).argmax(axis=1)
    return np.asarray(tries[np.arange(len(points)), best])


def grow(rng: np.random.Generator, cells: Cells, sprouts: Sprouts, wander: float, tilted: float) -> Arms:
    """Arms that bend towards where their cell has room, and end where it has none."""
    n, headings = len(sprouts.points), sprouts.headings
    start = cells.locate(sprouts.points)
    points = np.repeat(sprouts.points[:, None], _STEPS + 1, axis=1)
    room = np.repeat(start.room[:, None], _STEPS + 1, axis=1)
    alive, count = start.room > 0, np.ones(n, np.int64)
    step = sprouts.lengths[:, None, None] / _STEPS
    rows = np.arange(n)
    for index in range(1, _STEPS + 1):
        bends = rng.standard_normal((n, _CHOICES, 3)) * (wander * tilted, wander, wander)
        tries = unit(headings[:, None] + bends)
        goals = points[:, index - 1, None] + step * tries
        place = cells.locate(goals.reshape(-1, 3))
        free = np.where(place.cell.reshape(n, -1) == start.cell[:, None], place.room.reshape(n, -1), -1)
        taste = 0.3 * rng.random((n, _CHOICES)) * sprouts.radii[:, None]
        best = (np.minimum(free, 1.6 * sprouts.radii[:, None]) + taste).argmax(axis=1)
        alive &= free[rows, best] > _LEAST_ROOM * sprouts.radii
        points[:, index], room[:, index] = goals[rows, best], free[rows, best]
        headings = tries[rows, best]
        count += alive
    return Arms(points, room, count)


def join_arms(
    rng: np.random.Generator, arms: Arms, which: list[int], radius: float, clearance_nm: float
) -> Tube:
    """One tube of the arms that begin at one point."""
    starts, ends, radii, travelled = [], [], [], []
    for sign, arm in enumerate(which):
        path, room = _thin_out(arms.points[arm, : arms.count[arm]], arms.room[arm], radius)
        uneven = radius * np.exp(rng.normal(0, 0.1, len(path)))
        if rng.random() < 0.35:
            uneven *= np.linspace(1, rng.uniform(0.5, 1), len(path))
        width = np.clip(np.minimum(uneven, room[: len(path)] - clearance_nm), 0.4 * radius, None)
        width[0] = min(radius, width[0] if len(path) > 1 else radius)
        lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
        for index, length in enumerate(lengths):  # a cone that is wider than long has no smooth surface
            slack = _STEEPEST * length
            width[index + 1] = np.clip(width[index + 1], width[index] - slack, width[index] + slack)
        way = np.concatenate([[0], np.cumsum(lengths)])[:-1]
        starts.append(path[:-1])
        ends.append(path[1:])
        radii.append(np.stack([width[:-1], width[1:]], axis=1))
        travelled.append(way if sign == 0 else -way)
    return Tube(
        np.concatenate(starts),
        np.concatenate(ends),
        np.concatenate(radii),
        np.concatenate(travelled),
        Waves.draw(rng, 0.9 * radius, 10),
        rng.uniform(0.02, 0.1) * radius,
    )


def _thin_out(
    path: NDArray[np.float64], room: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Every point that a tube of `radius` needs to show its bends; at least two."""
    if len(path) == 1:
        path, room = np.concatenate([path, path + 0.05 * radius]), np.repeat(room[:1], 2)
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    kept = int(np.clip(np.ceil(length / (0.9 * radius)) + 1, 2, len(path)))
    index = np.linspace(0, len(path) - 1, kept).round().astype(int)
    return path[index], room[index]
