"""What became of each object: hit, miss, false hit, split or merge.

Hits go first. Splits and merges are the over- and under-segmentations of Hoover et al., IEEE TPAMI 18(7),
673-689 (1996), with a tolerance of one half, among the objects that no hit has taken.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from workers.evaluation.overlaps import Integers, Overlaps

HIT_IOU = 0.5


class Outcome(IntEnum):
    """Of a predicted or a true object; MISS of true ones only, FALSE_HIT of predicted ones only."""

    HIT = 0
    MISS = 1
    FALSE_HIT = 2
    SPLIT = 3  # a true object that was predicted as several, or one of these
    MERGE = 4  # a predicted object that takes several true ones for one, or one of these


@dataclass(frozen=True)
class Outcomes:
    """The outcome of each object, numbered as the overlaps number them."""

    predicted: NDArray[np.uint8]
    true: NDArray[np.uint8]


def find_outcomes(overlaps: Overlaps) -> Outcomes:
    """Every object has one outcome: a split goes before a merge, where an object could be in both."""
    predicted = np.full(len(overlaps.predicted_objects), Outcome.FALSE_HIT, np.uint8)
    true = np.full(len(overlaps.true_objects), Outcome.MISS, np.uint8)
    hits = overlaps.matched(HIT_IOU)
    predicted[overlaps.predicted[hits]] = Outcome.HIT
    true[overlaps.true[hits]] = Outcome.HIT

    free = _free(overlaps, predicted, true)
    parts, wholes = overlaps.predicted[free], overlaps.true[free]
    chosen = _assembled(
        parts, wholes, overlaps.shared[free], overlaps.predicted_objects.pixels, overlaps.true_objects.pixels
    )
    predicted[parts[chosen]] = true[wholes[chosen]] = Outcome.SPLIT

    free = _free(overlaps, predicted, true)
    parts, wholes = overlaps.true[free], overlaps.predicted[free]
    chosen = _assembled(
        parts, wholes, overlaps.shared[free], overlaps.true_objects.pixels, overlaps.predicted_objects.pixels
    )
    true[parts[chosen]] = predicted[wholes[chosen]] = Outcome.MERGE
    return Outcomes(predicted, true)


def _free(overlaps: Overlaps, predicted: NDArray[np.uint8], true: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pairs are of two objects without an outcome so far."""
    return np.asarray(
        (predicted[overlaps.predicted] == Outcome.FALSE_HIT) & (true[overlaps.true] == Outcome.MISS)
    )


def _assembled(
    parts: Integers, wholes: Integers, shared: Integers, part_pixels: Integers, whole_pixels: Integers
) -> NDArray[np.bool_]:
    """Which pairs are of a part and a whole: more than half of the part lies in the whole, and there are two
    such parts or more, which cover more than half of the whole."""
    inside = 2 * shared > part_pixels[parts]
    count = np.bincount(wholes[inside], minlength=len(whole_pixels))
    covered = np.zeros(len(whole_pixels), np.int64)
    np.add.at(covered, wholes[inside], shared[inside])
    assembled = (count >= 2) & (2 * covered > whole_pixels)
    return np.asarray(inside & assembled[wholes])
