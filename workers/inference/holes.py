"""Holes: background that one object encloses becomes part of it; other objects keep their pixels."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

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
    for label in labels[np.argsort(heights[labels] * widths[labels], kind="stable")]:
        rows = merged.sheet.read(int(boxes.y0[label]), int(boxes.y1[label]))
        window = rows[:, boxes.x0[label] : boxes.x1[label]]
        seen = merged.table[window]
        window[ndimage.binary_fill_holes(seen == label) & (seen == 0)] = number_of[label]
        merged.sheet.write(int(boxes.y0[label]), rows)


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
