"""Voting: where enough spans of one owner lie over each other."""

import numpy as np
import numpy.typing as npt

from workers.inference.volume.spans import Integers, Overlaps, Spans, add_up, ranges


def voted(spans: Spans, votes: int, width: int) -> Spans:
    """Where at least `votes` of each owner's spans lie, by owner; spans may be in any order, and overlap.

    `width` is that of the map: no span of the result goes beyond its row either.
    """
    if len(spans) == 0:
        return spans
    # A column more than there is keeps apart what ends with one row and what begins with the next.
    row = spans.begin // width
    base = int(spans.end.max()) + int(row.max()) + 2
    key = spans.owner * base + spans.begin + row
    places, number = np.unique(np.concatenate([key, key + spans.length]), return_inverse=True)
    steps = np.repeat([1.0, -1.0], len(spans))
    enough = np.cumsum(np.bincount(number, steps)).astype(np.int64) >= votes
    begins = np.flatnonzero(enough & ~np.append(False, enough[:-1]))
    ends = np.flatnonzero(~enough & np.append(False, enough[:-1]))
    owner, begin = np.divmod(places[begins], base)
    row = begin // (width + 1)
    begin -= row
    return Spans(owner, begin, begin + places[ends] - places[begins])


def find_shared(spans: Spans) -> Overlaps:
    """What each two owners share, the smaller first; the spans of one owner must not overlap each other."""
    order = np.argsort(spans.begin, kind="stable")
    begin, end, owner = spans.begin[order], spans.end[order], spans.owner[order]
    count = np.searchsorted(begin, end, side="left") - np.arange(1, len(order) + 1)  # that begin inside
    one = np.repeat(np.arange(len(order)), count)
    other = ranges(np.arange(1, len(order) + 1), count)
    size = np.minimum(end[one], end[other]) - begin[other]
    pair = np.sort(np.stack([owner[one], owner[other]]), axis=0)
    return add_up([Overlaps(pair[0], pair[1], size)])


class OverlapSums:
    """Adds overlaps up slice by slice; memory depends on how many pairs there are."""

    _PAIRS_AT_ONCE = 1 << 20

    def __init__(self) -> None:
        self._parts: list[Overlaps] = []
        self._pairs = 0

    def add(self, overlaps: Overlaps) -> None:
        self._parts.append(overlaps)
        self._pairs += len(overlaps.size)
        if self._pairs > self._PAIRS_AT_ONCE + 2 * len(self._parts[0].size):
            self.total()

    def total(self) -> Overlaps:
        """All that was added."""
        total = add_up(self._parts)
        self._parts, self._pairs = [total], len(total.size)
        return total


Sizes = npt.NDArray[np.int64]


def union_of(overlaps: Overlaps, sizes: Sizes) -> Integers:
    """Positions that either of each pair has."""
    union: Integers = sizes[overlaps.first] + sizes[overlaps.second] - overlaps.size
    return union
