"""Holes: background that one object encloses becomes part of it; other objects keep their pixels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.inference.components import Components
from workers.inference.merge import Labels, Merged, band_rows
from workers.inference.rows import bands
from workers.inference.runs import Boxes, find_runs

_WINDOW_BANDS = 8  # are read at once; an object of up to half as many is looked at in memory
_Integers = npt.NDArray[np.int64]


def fill_holes(merged: Merged) -> None:
    """Fills each object's holes in the sheet, those of objects inside others first.

    A hole is background that no path of 4-neighbours joins to the image's border without crossing the
    object, whose own pixels hold together over corners.
    """
    background = _Background(merged.count)
    height, width = merged.shape
    for y0, y1 in bands(height, band_rows(width)):
        background.add(merged.read(y0, y1), y0, is_last=y1 == height)
    pockets = background.pockets()
    if len(pockets.number) == 0:
        return
    _find_owners(merged, pockets, background.boxes)
    number_of = np.zeros(merged.count + 1, np.uint32)
    number_of[merged.table[::-1]] = np.arange(len(merged.table), dtype=np.uint32)[::-1]
    _write(merged, number_of[background.owners(pockets)])


@dataclass(frozen=True)
class _Pockets:
    """Background that does not reach the border: a pixel of each pocket, in the order of their rows."""

    y: _Integers
    x: _Integers
    number: _Integers
    """Of the component of the background."""
    owner: Labels
    """The label whose hole it lies in, of several the one with the smallest box; 0 for none."""

    def within(self, y0: int, x0: int, y1: int, x1: int) -> _Integers:
        """Which of them may lie inside a box without touching its sides."""
        begin, end = np.searchsorted(self.y, [y0 + 1, y1 - 1])
        x = self.x[begin:end]
        return np.asarray(begin + np.flatnonzero((x > x0) & (x < x1 - 1)))


class _Background:
    """Numbers the background's components, band by band."""

    def __init__(self, n: int) -> None:
        self.boxes = Boxes.empty(n)
        """Of the labels."""
        self._components = Components(connectivity=4)
        self._at_border: list[Labels] = []
        self._places: list[_Integers] = [np.zeros((1, 2), np.int64)]  # (n, 2) a pixel of each number

    def add(self, labels: Labels, y0: int, *, is_last: bool) -> None:
        before = self._components.count
        numbers = self._components.add((labels == 0).astype(np.uint32))
        self.boxes.grow(find_runs(labels, y0))
        edges = [numbers[:, 0], numbers[:, -1]]
        edges += [numbers[0]] if y0 == 0 else []
        edges += [numbers[-1]] if is_last else []
        self._at_border.append(np.unique(np.concatenate(edges)))
        runs = find_runs(numbers, y0)
        places = np.empty((self._components.count - before, 2), np.int64)
        places[runs.label - before - 1] = np.stack([runs.y, runs.x0], axis=1)
        self._places.append(places)

    def pockets(self) -> _Pockets:
        final, n = self._components.merged()
        place = np.empty((n + 1, 2), np.int64)
        place[final] = np.concatenate(self._places)
        inner = np.ones(n + 1, np.bool_)
        inner[final[np.concatenate(self._at_border)]] = False
        inner[0] = False
        number = np.flatnonzero(inner)
        number = number[np.argsort(place[number, 0], kind="stable")]
        y, x = place[number].T
        return _Pockets(y, x, number, np.zeros(len(number), np.uint32))

    def owners(self, pockets: _Pockets) -> Labels:
        """The owner of each number that a band's background is given."""
        final, n = self._components.merged()
        owner = np.zeros(n + 1, np.uint32)
        owner[pockets.number] = pockets.owner
        return np.asarray(owner[final])


def _find_owners(merged: Merged, pockets: _Pockets, boxes: Boxes) -> None:
    """Writes the owner of each pocket."""
    heights, widths = boxes.sides
    labels = 1 + np.flatnonzero(boxes.y1[1:] > 0)  # a class that a semantic map lacks has no pixels
    rank = np.full(merged.count + 1, merged.count + 1)
    rank[labels[np.argsort(heights[labels] * widths[labels], kind="stable")]] = np.arange(len(labels))
    for box, parts in _views(merged, boxes, labels, pockets):
        which = pockets.within(box.y0, box.x0, box.y1, box.x1)
        which = which[rank[box.label] < rank[pockets.owner[which]]]
        enclosed = box.encloses(parts, pockets.y[which], pockets.x[which])
        pockets.owner[which[enclosed]] = box.label


_Part = tuple[int, Labels]
"""The first row of a band of a box, and its labels in the columns of the box."""


@dataclass(frozen=True)
class _Box:
    """What lies around one label."""

    label: int
    y0: int
    x0: int
    y1: int
    x1: int

    def encloses(self, parts: Iterable[_Part], y: _Integers, x: _Integers) -> npt.NDArray[np.bool_]:
        """Whether all paths from each pixel (y, x) out of the box, which `parts` cover, cross the label."""
        pieces, at_edge = Components(connectivity=4), []
        piece_of = np.zeros(len(y), np.uint32)
        for begin, part in parts:
            numbers = pieces.add((part != self.label).astype(np.uint32))
            here = (begin <= y) & (y < begin + len(part))
            piece_of[here] = numbers[y[here] - begin, x[here] - self.x0]
            edges = [numbers[:, 0], numbers[:, -1]]
            edges += [numbers[0]] if begin == self.y0 else []
            edges += [numbers[-1]] if begin + len(part) == self.y1 else []
            at_edge.append(np.concatenate(edges))
        final, n = pieces.merged()
        inner = np.ones(n + 1, np.bool_)
        inner[final[np.concatenate(at_edge)]] = False
        return np.asarray(inner[final[piece_of]])

    def read(self, merged: Merged) -> Iterator[_Part]:
        for begin, end in bands(self.y1 - self.y0, band_rows(self.x1 - self.x0)):
            part = merged.sheet.read_part(self.y0 + begin, self.y0 + end, self.x0, self.x1)
            yield self.y0 + begin, merged.table[part]


def _views(
    merged: Merged, boxes: Boxes, labels: _Integers, pockets: _Pockets
) -> Iterator[tuple[_Box, Iterable[_Part]]]:
    """The box of each label that may hold a pocket, and what lies in it: rows are read for many at once."""
    limit = _WINDOW_BANDS // 2 * band_rows(merged.shape[1])
    begin, window = 0, np.empty((0, 0), np.uint32)
    for label in labels[np.argsort(boxes.y0[labels], kind="stable")].tolist():
        box = _Box(label, *(int(side[label]) for side in (boxes.y0, boxes.x0, boxes.y1, boxes.x1)))
        if len(pockets.within(box.y0, box.x0, box.y1, box.x1)) == 0:
            continue
        if box.y1 - box.y0 > limit:
            yield box, box.read(merged)
            continue
        if box.y1 > begin + len(window):
            begin, window = box.y0, merged.read(box.y0, box.y0 + 2 * limit)
        yield box, [(box.y0, window[box.y0 - begin : box.y1 - begin, box.x0 : box.x1])]


def _write(merged: Merged, number_of: Labels) -> None:
    """Gives the background its numbers in the sheet: `number_of` that which each component has, or 0."""
    components = Components(connectivity=4)  # gives the numbers that the first look gave
    height, width = merged.shape
    for y0, y1 in bands(height, band_rows(width)):
        sheet = merged.sheet.read(y0, y1)
        numbers = number_of[components.add((merged.table[sheet] == 0).astype(np.uint32))]
        if numbers.any():
            merged.sheet.write(y0, np.where(numbers > 0, numbers, sheet))
