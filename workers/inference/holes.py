"""Holes: background that one object encloses becomes part of it; other objects keep their pixels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.inference.components import Components
from workers.inference.merge import Labels, Merged, band_rows
from workers.inference.rows import bands
from workers.inference.runs import Boxes, find_runs


def fill_holes(merged: Merged) -> None:
    """Fills each object's holes in the sheet, those of objects inside others first.

    A hole is background that no path of 4-neighbours joins to the image's border without crossing the
    object, whose own pixels hold together over corners.
    """
    pockets = _Pockets(merged.count)
    height, width = merged.shape
    for y0, y1 in bands(height, band_rows(width)):
        pockets.add(merged.read(y0, y1), y0, is_last=y1 == height)
    number_of = np.zeros(merged.count + 1, np.uint32)
    number_of[merged.table[::-1]] = np.arange(len(merged.table), dtype=np.uint32)[::-1]
    boxes = pockets.boxes
    labels = pockets.labels_around()
    heights, widths = boxes.sides
    for label in labels[np.argsort(heights[labels] * widths[labels], kind="stable")].tolist():
        box = _Box(merged, label, *(int(side[label]) for side in (boxes.y0, boxes.x0, boxes.y1, boxes.x1)))
        box.fill(number_of[label])


_Band = tuple[int, Labels, Labels]
"""A band's first row, its rows of the sheet, and the numbers of pieces in the box's columns."""


@dataclass(frozen=True)
class _Box:
    """What lies around one label: all of it that is not the label, band by band."""

    merged: Merged
    label: int
    y0: int
    x0: int
    y1: int
    x1: int

    def fill(self, number: np.uint32) -> None:
        """Writes `number` into all background that the label encloses."""
        pieces = Components(connectivity=4)
        around: Iterable[_Band] = self._surroundings(pieces)
        again: Iterable[_Band] = self._surroundings(Components(connectivity=4))
        if self.y1 - self.y0 <= band_rows(self.merged.shape[1]):
            around = again = list(around)  # most objects lie within one band
        is_hole = self._holes(around, pieces)
        for y, rows, numbers in again:
            window = rows[:, self.x0 : self.x1]
            window[is_hole[numbers] & (self.merged.table[window] == 0)] = number
            self.merged.sheet.write(y, rows)

    def _holes(self, around: Iterable[_Band], pieces: Components) -> npt.NDArray[np.bool_]:
        """(n + 1,) whether each of the `pieces` that `around` numbers stays within the box."""
        at_edge = []
        for y, rows, numbers in around:
            edges = [numbers[:, 0], numbers[:, -1]]
            edges += [numbers[0]] if y == self.y0 else []
            edges += [numbers[-1]] if y + len(rows) == self.y1 else []
            at_edge.append(np.unique(np.concatenate(edges)))
        final, n = pieces.merged()
        inner = np.ones(n + 1, np.bool_)
        inner[final[np.concatenate(at_edge)]] = False
        inner[0] = False
        return np.asarray(inner[final])

    def _surroundings(self, pieces: Components) -> Iterator[_Band]:
        for begin, end in bands(self.y1 - self.y0, band_rows(self.merged.shape[1])):
            rows = self.merged.sheet.read(self.y0 + begin, self.y0 + end)
            other = self.merged.table[rows[:, self.x0 : self.x1]] != self.label
            yield self.y0 + begin, rows, pieces.add(other.astype(np.uint32))


class _Pockets:
    """Finds background that does not reach the border, and the labels around it, band by band."""

    def __init__(self, n: int) -> None:
        self.boxes = Boxes.empty(n)
        """Of the labels."""
        self._background = Components(connectivity=4)
        self._at_border: list[npt.NDArray[np.uint32]] = []
        self._pairs: list[npt.NDArray[np.uint32]] = []
        self._last: tuple[Labels, Labels] | None = None

    def add(self, labels: Labels, y0: int, *, is_last: bool) -> None:
        numbers = self._background.add((labels == 0).astype(np.uint32))
        self.boxes.grow(find_runs(labels, y0))
        edges = [numbers[:, 0], numbers[:, -1]]
        if y0 == 0:
            edges.append(numbers[0])
        if is_last:
            edges.append(numbers[-1])
        self._at_border.append(np.unique(np.concatenate(edges)))
        if self._last is not None:
            self._meet((self._last[0], labels[:1]), (self._last[1], numbers[:1]))
        self._meet((labels[:-1], labels[1:]), (numbers[:-1], numbers[1:]))
        self._meet((labels[:, :-1], labels[:, 1:]), (numbers[:, :-1], numbers[:, 1:]))
        self._last = labels[-1:].copy(), numbers[-1:].copy()

    def labels_around(self) -> npt.NDArray[np.int64]:
        """Labels that touch background which does not reach the border."""
        final, n = self._background.merged()
        outer = np.zeros(n + 1, np.bool_)
        outer[final[np.concatenate(self._at_border)]] = True
        outer[0] = False
        pairs = np.concatenate([np.empty((0, 2), np.uint32), *self._pairs])
        return np.unique(pairs[~outer[final[pairs[:, 0]]], 1]).astype(np.int64)

    def _meet(self, labels: tuple[Labels, Labels], numbers: tuple[Labels, Labels]) -> None:
        """Notes (background number, label) of neighbours, looking both ways."""
        for one, other in ((0, 1), (1, 0)):
            touching = (numbers[one] > 0) & (labels[other] > 0)
            codes = np.unique(numbers[one][touching].astype(np.uint64) << 32 | labels[other][touching])
            self._pairs.append(np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1).astype(np.uint32))
