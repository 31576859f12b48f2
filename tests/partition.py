"""Whether two label maps divide the same pixels in the same way, whatever their labels are called."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]


def numbered(labels: Labels) -> NDArray[np.int64]:
    """`labels` with its values replaced by their ranks: background 0, then 1, 2, … in ascending order."""
    values, ranks = np.unique(labels, return_inverse=True)
    if values[0] != 0:
        ranks = ranks + 1
    return ranks.reshape(labels.shape).astype(np.int64)


def same_partition(first: Labels, second: Labels) -> bool:
    """Whether both maps divide the pixels in the very same way."""
    codes = np.unique(first.astype(np.int64) << 32 | second.astype(np.int64))
    a, b = codes >> 32, codes & 0xFFFFFFFF
    return len(np.unique(a)) == len(np.unique(b)) == len(codes) and bool(np.all((a == 0) == (b == 0)))


def agreement(first: Labels, second: Labels) -> float:
    """Share of pixels that lie in the same part of both maps, background included.

    A part of one map is paired with the part of the other that it shares most pixels with, one to one,
    the largest shares first.
    """
    return _in_the_same_part(first.ravel(), second.ravel()) / first.size


def foreground_agreement(pairs: Iterable[tuple[Labels, Labels]]) -> float:
    """The same over several images, of the pixels that are foreground in either map."""
    same = foreground = 0
    for first, second in pairs:
        either = (first > 0) | (second > 0)
        same += _in_the_same_part(first[either], second[either])
        foreground += int(either.sum())
    return same / foreground


def _in_the_same_part(first: Labels, second: Labels) -> int:
    a, b = numbered(first), numbered(second)
    codes, shared = np.unique(a * (int(b.max()) + 1) + b, return_counts=True)
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    same = 0
    for code, count in sorted(zip(codes.tolist(), shared.tolist(), strict=True), key=lambda each: -each[1]):
        part_a, part_b = divmod(code, int(b.max()) + 1)
        if part_a not in taken_a and part_b not in taken_b and (part_a == 0) == (part_b == 0):
            taken_a.add(part_a)
            taken_b.add(part_b)
            same += count
    return same
