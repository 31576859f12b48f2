"""Feret diameters of every object of a label map, from the convex hulls of its pixels' corners."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from workers.inference.runs import Runs

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.signedinteger[Any]]  # 64 bits where they are computed with, 32 where kept
Side = Literal[-1, 1]

_PAIRS_AT_ONCE = 1 << 18  # bounds the memory of the pairwise distances
_LABELS_AT_ONCE = 1 << 13  # bounds that of the hulls while they are closed


@dataclass(frozen=True)
class Ferets:
    """(n + 1,) diameters of labels 0 to n; NaN where there is none."""

    smallest: Floats
    largest: Floats


@dataclass(frozen=True)
class _Chain:
    """Points of many objects in one list: sorted by object, then by y."""

    owner: Numbers
    """(P,) label of the object."""
    y: Numbers
    x: Numbers

    def part(self, chosen: npt.NDArray[np.bool_]) -> "_Chain":
        return _Chain(self.owner[chosen], self.y[chosen], self.x[chosen])

    def between(self, first: int, last: int) -> "_Chain":
        """The points of labels `first` to `last` - 1, which are counted from `first` on."""
        begin, end = np.searchsorted(self.owner, (first, last))
        return _Chain(self.owner[begin:end] - first, self.y[begin:end], self.x[begin:end])

    def narrow(self) -> "_Chain":
        """In half the memory."""
        return _Chain(self.owner.astype(np.int32), self.y.astype(np.int32), self.x.astype(np.int32))


class Hulls:
    """The convex hulls of all objects of a label map that is seen band by band."""

    def __init__(self) -> None:
        self._left, self._right = _Contour(-1), _Contour(1)

    def add(self, runs: Runs) -> None:
        """Takes in the runs of another band, whose rows come after those before."""
        # Row by row, only an object's first and last pixel can be on its hull.
        order = np.lexsort((runs.x0, runs.y, runs.label))
        owner, y = runs.label[order], runs.y[order]
        new = np.flatnonzero((np.diff(owner, prepend=-1) != 0) | (np.diff(y, prepend=-1) != 0))
        last = np.append(new[1:], len(owner))[: len(new)] - 1
        self._left.add(_Chain(owner[new], y[new], runs.x0[order][new]))
        self._right.add(_Chain(owner[new], y[new], runs.x1[order][last]))

    def diameters(self, n: int, pixel_size: tuple[float, float]) -> Ferets:
        """(n + 1,) diameters of labels 0 to n, in the unit of `pixel_size`; NaN where there are no pixels."""
        smallest, largest = np.full(n + 1, np.nan), np.full(n + 1, np.nan)
        for first in range(0, n + 1, _LABELS_AT_ONCE):
            last = min(first + _LABELS_AT_ONCE, n + 1)
            hulls = _around(self._left.between(first, last), self._right.between(first, last))
            found = _diameters(hulls, last - first, pixel_size)
            smallest[first:last], largest[first:last] = found.smallest, found.largest
        return Ferets(smallest, largest)


class _Contour:
    """The left (-1) or right (1) sides of all hulls.

    What the last band did not touch is set aside, so that a band costs no more late in a large image.
    """

    def __init__(self, side: Side) -> None:
        self._side: Side = side
        self._aside: list[_Chain] = []
        self._open = _Chain(*(np.empty(0, np.int64) for _ in range(3)))

    def add(self, pixels: _Chain) -> None:
        """Takes in the outermost pixels of another band's rows."""
        touched = np.isin(self._open.owner, pixels.owner)
        if not touched.all():
            self._aside.append(self._open.part(~touched).narrow())
        self._open = _convex(_joined([self._open.part(touched), _corners(pixels)]), self._side)

    def between(self, first: int, last: int) -> _Chain:
        """The sides of labels `first` to `last` - 1, which are counted from `first` on."""
        # An object in several pieces may have been set aside more than once.
        chains = [chain.between(first, last) for chain in (*self._aside, self._open)]
        return _convex(_joined(chains), self._side)


def _joined(chains: list[_Chain]) -> _Chain:
    """All of them, the upper ones first, sorted by object, then by y."""
    owner = np.concatenate([chain.owner for chain in chains]).astype(np.int64)
    order = np.argsort(owner, kind="stable")
    y = np.concatenate([chain.y for chain in chains]).astype(np.int64)
    x = np.concatenate([chain.x for chain in chains]).astype(np.int64)
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
        chain = chain.part(kept)


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


def _batches(owner: Numbers, n: int) -> Iterator[Integers]:
    """Indices of corners, whole objects together, in batches of bounded numbers of pairs."""
    size = np.bincount(owner, minlength=n)
    batch = np.cumsum(size**2) // _PAIRS_AT_ONCE
    edges = np.flatnonzero(np.diff(batch, prepend=-1, append=-1))
    offsets = np.concatenate([[0], np.cumsum(size)])
    for first, last in pairwise(edges):
        yield np.arange(offsets[first], offsets[last])
