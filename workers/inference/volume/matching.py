"""Matching: the objects of a slice take the names of those of the slice beside it."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.inference.volume.assignment import best_pairs
from workers.inference.volume.spans import Integers, Overlaps, Spans, find_overlaps

MIN_IOU, MIN_SHARE = 0.25, 0.25
"""Two objects are one when their intersection is at least this much of their union, or else of the
object that takes the name."""


@dataclass(frozen=True)
class SliceObjects:
    """The objects of one slice, 1 to k, class by class."""

    spans: Spans
    class_ids: npt.NDArray[np.uint8]
    """(k + 1,) that of 0 is 0."""

    @property
    def count(self) -> int:
        return len(self.class_ids) - 1

    def only(self, kept: npt.NDArray[np.bool_]) -> Self:
        """Those of (k + 1,) that are kept, numbered anew; `kept[0]` is true."""
        numbers = np.where(kept, np.cumsum(kept) - 1, 0)
        return type(self)(self.spans.renamed(numbers), self.class_ids[kept])


class Chain:
    """Follows objects from slice to slice, in one direction."""

    def __init__(self) -> None:
        self._last: _Named | None = None

    def follow(self, objects: SliceObjects) -> Integers:
        """(k + 1,) the name that each object takes from the slice before; 0 for none.

        Names must then be given to all by `close`, before the next slice follows.
        """
        if self._last is None:
            return np.zeros(objects.count + 1, np.int64)
        return _taken(self._last, objects)

    def close(self, objects: SliceObjects, names: Integers) -> None:
        """The slice's objects have these names (k + 1,); those of one name are one object from here on."""
        joined, _, names = in_one(objects, names)
        self._last = _Named(joined, names)


def in_one(objects: SliceObjects, names: Integers) -> tuple[SliceObjects, Integers, Integers]:
    """The objects of each name as one object, in the order of their first members.

    Also the number (k + 1,) that each object has there, and the name of each number.
    """
    unique, firsts, member = np.unique(names, return_index=True, return_inverse=True)  # names[0] is 0
    order = np.argsort(firsts)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    number = rank[member]
    return (
        SliceObjects(objects.spans.renamed(number), objects.class_ids[firsts[order]]),
        number,
        unique[order],
    )


@dataclass(frozen=True)
class _Named:
    """Objects and the name of each (k + 1,)."""

    objects: SliceObjects
    names: Integers


def _taken(last: _Named, objects: SliceObjects) -> Integers:
    overlaps = find_overlaps(last.objects.spans, objects.spans)
    same = last.objects.class_ids[overlaps.first] == objects.class_ids[overlaps.second]
    overlaps = overlaps.only(same)
    areas = objects.spans.areas(objects.count)
    target = _paired(overlaps, last.objects.spans.areas(last.objects.count), areas)
    lone = _most_shared(overlaps, areas)
    return last.names[np.where(target > 0, target, lone)]


def _paired(overlaps: Overlaps, target_areas: Integers, areas: Integers) -> Integers:
    """(k + 1,) the target that each object is paired with, one to one, or 0."""
    target, member, size = overlaps
    iou = size / (target_areas[target] + areas[member] - size)
    kept = best_pairs(target, member, iou) & (iou >= MIN_IOU)
    result = np.zeros(len(areas), np.int64)
    result[member[kept]] = target[kept]
    return result


def _most_shared(overlaps: Overlaps, areas: Integers) -> Integers:
    """(k + 1,) the first of the targets that hold most of each object, if they hold enough of it, or 0."""
    target, member, size = overlaps
    order = np.lexsort((target, -size, member))
    first = order[np.flatnonzero(np.diff(member[order], prepend=-1))]
    first = first[size[first] >= MIN_SHARE * areas[member[first]]]
    result = np.zeros(len(areas), np.int64)
    result[member[first]] = target[first]
    return result
