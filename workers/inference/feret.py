"""Feret diameters of every object of a label map, from the convex hulls of its pixels' corners."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

from workers.inference.runs import Runs

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Side = Literal[-1, 1]

_PAIRS_AT_ONCE = 4_000_000  # bounds the memory of the pairwise distances


@dataclass(frozen=True)
class Ferets:
    """(n + 1,) diameters of labels 0 to n; NaN where there is none."""

    smallest: Floats
    largest: Floats


@dataclass(frozen=True)
class _Chain:
    """Points of many objects in one list: sorted by object, then by y."""

    owner: Integers
    """(P,) label of the object."""
    y: Integers
    x: Integers


class Hulls:
    """The convex hulls of all objects of a label map that is seen band by band."""

    def __init__(self) -> None:
        empty = _Chain(*(np.empty(0, np.int64) for _ in range(3)))
        self._left, self._right = empty, empty

    def add(self, runs: Runs) -> None:
        """Takes in the runs of another band, whose rows come after those before."""
        # Row by row, only an object's first and last pixel can be on its hull.
        order = np.lexsort((runs.x0, runs.y, runs.label))
        owner, y = runs.label[order], runs.y[order]
        new = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(y, prepend=-1) != 0))
        last = np.append(new[1:], len(owner))[: len(new)] - 1
        left = _corners(_Chain(owner[new], y[new], runs.x0[order][new]))
        right = _corners(_Chain(owner[new], y[new], runs.x1[order][last]))
        self._left = _convex(_joined(self._left, left), side=-1)
        self._right = _convex(_joined(self._right, right), side=1)

    def diameters(self, n: int, pixel_size: tuple[float, float]) -> Ferets:
        """(n + 1,) diameters of labels 0 to n, in the unit of `pixel_size`; NaN where there are no pixels."""
        return _diameters(_around(self._left, self._right), n + 1, pixel_size)


def _joined(first: _Chain, second: _Chain) -> _Chain:
    """Both, sorted by object, then by y."""
    owner = np.concatenate([first.owner, second.owner])
    order = np.argsort(owner, kind="stable")
    y, x = np.concatenate([first.y, second.y]), np.concatenate([first.x, second.x])
    return _Chain(owner[order], y[order], x[order])


def _corners(pixels: _Chain) -> _Chain:
    """Upper and lower corner of each pixel edge."""
    return _Chain(
        np.repeat(pixels.owner, 2),
        np.stack([pixels.y, pixels.y + 1], axis=1).ravel(),
        np.repeat(pixels.x, 2),
    )


def _convex(chain: _Chain, side: Side) -> _Chain:
    """The points of a left (-1) or right (1) chain where it turns outward.

    A point that does not lie outside the line through its neighbours is inside the hull; all such points
    go at once, until none is left.
    """
    while True:
        before, here, after = slice(None, -2), slice(1, -1), slice(2, None)
        cross = (chain.x[here] - chain.x[before]) * (chain.y[after] - chain.y[before]) - (
            chain.x[after] - chain.x[before]
        ) * (chain.y[here] - chain.y[before])
        inner = (chain.owner[before] == chain.owner[here]) & (chain.owner[here] == chain.owner[after])
        kept = np.ones(len(chain.owner), np.bool_)
        kept[here] = ~inner | (side * cross > 0)
        if kept.all():
            return chain
        chain = _Chain(chain.owner[kept], chain.y[kept], chain.x[kept])


def _around(left: _Chain, right: _Chain) -> _Chain:
    """Down the left side, up the right side, object by object."""
    owner = np.concatenate([left.owner, right.owner])
    y, x = np.concatenate([left.y, right.y]), np.concatenate([left.x, right.x])
    up = np.concatenate([np.zeros(len(left.y), np.int64), np.ones(len(right.y), np.int64)])
    order = np.lexsort((np.where(up, -y, y), up, owner))
    return _Chain(owner[order], y[order], x[order])


def _diameters(hulls: _Chain, n: int, pixel_size: tuple[float, float]) -> Ferets:
    """Every edge against every corner of its hull."""
    largest, smallest = np.zeros(n), np.full(n, np.inf)
    y, x = hulls.y * pixel_size[0], hulls.x * pixel_size[1]
    for corners in _batches(hulls.owner, n):
        size = np.bincount(hulls.owner[corners], minlength=n)[hulls.owner[corners]]
        start = np.searchsorted(hulls.owner, hulls.owner[corners])
        first = np.repeat(corners, size)
        begins = np.cumsum(size) - size
        rank = np.arange(len(first)) - np.repeat(begins, size)
        second = np.repeat(start, size) + rank
        dy, dx = y[second] - y[first], x[second] - x[first]
        np.maximum.at(largest, hulls.owner[first], np.hypot(dy, dx))
        following = np.where(corners + 1 < start + size, corners + 1, start)
        ey, ex = y[following] - y[corners], x[following] - x[corners]
        length = np.hypot(ey, ex)
        away = np.abs(np.repeat(ex, size) * dy - np.repeat(ey, size) * dx)
        width = np.maximum.reduceat(away, begins) / np.maximum(length, np.finfo(float).tiny)
        np.minimum.at(smallest, hulls.owner[corners], np.where(length > 0, width, np.inf))
    seen = np.isfinite(smallest)
    return Ferets(np.where(seen, smallest, np.nan), np.where(seen, largest, np.nan))


def _batches(owner: Integers, n: int) -> Iterator[Integers]:
    """Indices of corners, whole objects together, in batches of bounded numbers of pairs."""
    size = np.bincount(owner, minlength=n)
    batch = np.cumsum(size**2) // _PAIRS_AT_ONCE
    edges = np.flatnonzero(np.diff(batch, prepend=-1, append=-1))
    offsets = np.concatenate([[0], np.cumsum(size)])
    for first, last in pairwise(edges):
        yield np.arange(offsets[first], offsets[last])
