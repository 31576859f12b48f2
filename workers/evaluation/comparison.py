"""Compares two files in one pass, slab by slab."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.instances import Instances
from workers.evaluation.overlaps import Integers, Labels, OverlapCounter, Overlaps, require_one_shape


@dataclass(frozen=True)
class View:
    """A plane as a picture of another size shows it: of each of its pixels the one in the middle."""

    z: int
    """The plane; 0 of a single image."""
    plane_shape: tuple[int, int]
    shape: tuple[int, int]
    """Of the picture."""

    def rows_of(self, begin: int, slab: NDArray[Any]) -> tuple[int, NDArray[Any]]:
        """The rows of the plane that are in a slab that begins at `begin`, and the first one's number."""
        if slab.ndim == 2:
            return begin, slab
        inside = begin <= self.z < begin + len(slab)
        return 0, slab[self.z - begin] if inside else slab[0, :0]

    def take(self, begin: int, slab: Labels, out: NDArray[np.uint64]) -> None:
        """Copies what the picture shows of a slab."""
        (height, width), (rows_shown, columns_shown) = self.plane_shape, self.shape
        rows = (np.arange(rows_shown) * 2 + 1) * height // (2 * rows_shown)
        columns = (np.arange(columns_shown) * 2 + 1) * width // (2 * columns_shown)
        y0, part = self.rows_of(begin, slab)
        first, last = np.searchsorted(rows, (y0, y0 + len(part)))
        out[first:last] = part[rows[first:last] - y0][:, columns]


@dataclass(frozen=True)
class SeenLabels:
    """The labels that a view shows."""

    predicted: NDArray[np.uint64]
    true: NDArray[np.uint64]


def compare(
    predicted: Instances, true: Instances, view: View | None = None
) -> tuple[Overlaps, SeenLabels | None]:
    """Overlaps of two files of one shape, and the labels that `view` shows. Raises UnusableLabels."""
    require_one_shape(predicted.shape, true.shape)
    counter = OverlapCounter()
    shape = (0, 0) if view is None else view.shape
    first, second = np.zeros(shape, np.uint64), np.zeros(shape, np.uint64)
    for begin, predicted_slab, true_slab in _paired(predicted.slabs(), true.slabs()):
        counter.add(predicted_slab, true_slab)
        if view is not None:
            view.take(begin, predicted_slab, first)
            view.take(begin, true_slab, second)
    names = predicted.final_labels(), true.final_labels()
    seen = SeenLabels(_renamed(first, names[0]), _renamed(second, names[1]))
    return counter.overlaps(*names), None if view is None else seen


def _paired(
    first: Iterator[tuple[int, Labels]], second: Iterator[tuple[int, Labels]]
) -> Iterator[tuple[int, Labels, Labels]]:
    """Slabs of one thickness out of slabs of two, and where they begin."""
    ahead: Labels = np.empty(0, np.uint8)  # what the second has beyond the first
    for begin, slab in first:
        done = 0
        while done < len(slab):
            if len(ahead) == 0:
                _, ahead = next(second)
            count = min(len(slab) - done, len(ahead))
            yield begin + done, slab[done : done + count], ahead[:count]
            done, ahead = done + count, ahead[count:]


def _renamed(labels: NDArray[np.uint64], final: Integers | None) -> NDArray[np.uint64]:
    return labels if final is None else final[labels].astype(np.uint64)
