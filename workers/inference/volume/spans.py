"""Spans: a label map as stretches of one label in one row, held as positions in the flattened map."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.inference.runs import find_runs

Integers = npt.NDArray[np.int64]
Labels = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Spans:
    """Stretches of labels in a map (H, W), in row-major order; none goes beyond its row."""

    owner: Integers
    """Label of each."""
    begin: Integers
    """y * W + x of the first position."""
    end: Integers
    """One past the last position."""

    @property
    def length(self) -> Integers:
        return self.end - self.begin

    def __len__(self) -> int:
        return len(self.owner)

    def renamed(self, names: npt.NDArray[np.integer]) -> Self:
        """With `names[label]` in place of each label; 0 leaves out."""
        owner = names[self.owner].astype(np.int64)
        kept = owner > 0
        if kept.all():
            return type(self)(owner, self.begin, self.end)
        return type(self)(owner[kept], self.begin[kept], self.end[kept])

    def areas(self, n: int) -> Integers:
        """(n + 1,) positions that each label has."""
        return np.bincount(self.owner, self.length, n + 1).astype(np.int64)


def find_spans(labels: Labels) -> Spans:
    """The spans of a map (H, W) of labels, of which 0 is left out."""
    runs = find_runs(labels, 0)
    begin = runs.y * labels.shape[1] + runs.x0
    return Spans(runs.label, begin, begin + runs.length)


def join_spans(parts: list[Spans]) -> Spans:
    """Spans of parts that follow each other."""
    empty = np.empty(0, np.int64)
    return Spans(
        np.concatenate([empty, *(part.owner for part in parts)]),
        np.concatenate([empty, *(part.begin for part in parts)]),
        np.concatenate([empty, *(part.end for part in parts)]),
    )


def paint(spans: Spans, shape: tuple[int, int]) -> Labels:
    """The map (H, W) of these spans; where some lie over others, the later ones are seen."""
    labels = np.zeros(shape, np.uint32)
    labels.ravel()[positions(spans)] = np.repeat(spans.owner, spans.length)
    return labels


def positions(spans: Spans) -> Integers:
    """Every position of every span, span after span."""
    return ranges(spans.begin, spans.length)


def ranges(begin: Integers, length: Integers) -> Integers:
    """begin, begin + 1, … of `length` numbers, one such range after the other."""
    firsts = np.cumsum(length) - length
    numbers: Integers = np.arange(int(length.sum()), dtype=np.int64) + np.repeat(begin - firsts, length)
    return numbers


@dataclass(frozen=True)
class Overlaps:
    """How many positions labels of two maps share; pairs that share none are left out."""

    first: Integers
    second: Integers
    size: Integers

    def __iter__(self) -> Iterator[Integers]:
        return iter((self.first, self.second, self.size))

    def only(self, wanted: npt.NDArray[np.bool_]) -> Self:
        return type(self)(self.first[wanted], self.second[wanted], self.size[wanted])


def find_overlaps(first: Spans, second: Spans) -> Overlaps:
    """What two maps of the same shape share, by first, then by second label.

    Each map's spans must not overlap each other.
    """
    # Both are sorted: the spans of the second that meet one of the first follow each other.
    lowest = np.searchsorted(second.end, first.begin, side="right")
    count = np.maximum(np.searchsorted(second.begin, first.end, side="left") - lowest, 0)
    mine = np.repeat(np.arange(len(first)), count)
    yours = ranges(lowest, count)
    size = np.minimum(first.end[mine], second.end[yours]) - np.maximum(first.begin[mine], second.begin[yours])
    return add_up([Overlaps(first.owner[mine], second.owner[yours], size)])


def add_up(parts: list[Overlaps]) -> Overlaps:
    """One overlap a pair: the sum of those that the parts have of it; by first, then by second label."""
    empty = np.empty(0, np.int64)
    first, second, size = (
        np.concatenate([empty, *(getattr(part, name) for part in parts)])
        for name in ("first", "second", "size")
    )
    base = int(second.max(initial=0)) + 1
    codes, pair = np.unique(first * base + second, return_inverse=True)
    return Overlaps(codes // base, codes % base, np.bincount(pair, size, len(codes)).astype(np.int64))
