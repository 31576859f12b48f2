"""Splits and merges on cases that one can draw on paper; every object has one outcome."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from tests.label_maps import Pair, pairs
from tests.strips import strips
from workers.evaluation.outcomes import Outcome, find_outcomes
from workers.evaluation.overlaps import find_overlaps
from workers.evaluation.summary import summarise

HIT, MISS, FALSE_HIT, SPLIT, MERGE = Outcome


def outcomes(
    found: tuple[tuple[int, int], ...], truth: tuple[tuple[int, int], ...]
) -> tuple[list[int], list[int]]:
    """Of predicted and of true objects."""
    both = find_outcomes(find_overlaps(strips(*found), strips(*truth)))
    return both.predicted.tolist(), both.true.tolist()


@pytest.mark.parametrize(
    ("found", "truth", "expected"),
    [
        (((0, 4), (4, 8)), ((0, 10),), ([SPLIT, SPLIT], [SPLIT])),
        (((0, 4), (4, 6), (6, 10)), ((0, 10),), ([SPLIT, SPLIT, SPLIT], [SPLIT])),
        (((0, 3), (3, 5)), ((0, 10),), ([FALSE_HIT, FALSE_HIT], [MISS])),
        (((0, 4), (6, 16)), ((0, 10),), ([FALSE_HIT, FALSE_HIT], [MISS])),
        (((0, 6), (6, 10)), ((0, 10),), ([HIT, FALSE_HIT], [HIT])),
        (((0, 4),), ((0, 10),), ([FALSE_HIT], [MISS])),
    ],
    ids=["two parts", "three parts", "half covered", "one part lies outside", "a part hits", "one part"],
)
def test_a_split_is_an_object_of_several_parts(
    found: tuple[tuple[int, int], ...],
    truth: tuple[tuple[int, int], ...],
    expected: tuple[list[int], list[int]],
) -> None:
    assert outcomes(found, truth) == expected
    # A merge is the same with the maps exchanged.
    exchanged: dict[int, int] = {SPLIT: MERGE, MISS: FALSE_HIT, FALSE_HIT: MISS, HIT: HIT}
    predicted, true = expected
    mirrored = [exchanged[each] for each in true], [exchanged[each] for each in predicted]
    assert outcomes(truth, found) == mirrored


def test_a_split_goes_before_a_merge() -> None:
    # The first predicted object takes both true ones for one, and is a part of the second; no IoU is 0.5.
    truth = strips((2, 9), (9, 29))
    found = strips((5, 20), (20, 27))
    assert outcomes(((5, 20),), ((2, 9), (9, 29))) == ([MERGE], [MERGE, MERGE])
    both = find_outcomes(find_overlaps(found, truth))
    assert both.true.tolist() == [MISS, SPLIT]
    assert both.predicted.tolist() == [SPLIT, SPLIT]


@given(pairs())
def test_every_object_is_counted_once(pair: Pair) -> None:
    found, truth = pair
    scores = summarise([find_overlaps(found, truth)])
    assert scores.predicted == scores.hits + scores.false_hits + scores.split_parts + scores.merges
    assert scores.true == scores.hits + scores.misses + scores.splits + scores.merged
    assert scores.split_parts >= 2 * scores.splits
    assert scores.merged >= 2 * scores.merges


@given(pairs())
def test_splits_and_merges_are_those_of_a_plain_count(pair: Pair) -> None:
    found, truth = pair
    overlaps = find_overlaps(found, truth)
    both = find_outcomes(overlaps)
    predicted = dict(zip(overlaps.predicted_objects.labels.tolist(), both.predicted.tolist(), strict=True))
    true = dict(zip(overlaps.true_objects.labels.tolist(), both.true.tolist(), strict=True))
    expected = _plain(found, truth)
    assert (predicted, true) == expected


def _plain(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> tuple[dict[int, int], dict[int, int]]:
    """Outcomes by label, as docs/evaluation.md says them, with sets of pixels."""
    ours = {int(label): set(np.flatnonzero(found == label)) for label in np.unique(found[found > 0])}
    theirs = {int(label): set(np.flatnonzero(truth == label)) for label in np.unique(truth[truth > 0])}
    predicted: dict[int, int] = dict.fromkeys(ours, FALSE_HIT)
    true: dict[int, int] = dict.fromkeys(theirs, MISS)
    for label, pixels in ours.items():
        for other, others in theirs.items():
            is_hit = 2 * len(pixels & others) >= len(pixels | others)
            if is_hit and predicted[label] == FALSE_HIT and true[other] == MISS:
                predicted[label] = true[other] = HIT
    for name, wholes, parts, whole_of, part_of in (
        (SPLIT, theirs, ours, true, predicted),
        (MERGE, ours, theirs, predicted, true),
    ):
        free_whole = MISS if name == SPLIT else FALSE_HIT
        free_part = FALSE_HIT if name == SPLIT else MISS
        for label, pixels in wholes.items():
            inside = [
                other
                for other, others in parts.items()
                if part_of[other] == free_part and 2 * len(pixels & others) > len(others)
            ]
            covered = sum(len(pixels & parts[other]) for other in inside)
            if whole_of[label] == free_whole and len(inside) >= 2 and 2 * covered > len(pixels):
                whole_of[label] = name
                part_of.update(dict.fromkeys(inside, name))
    assert Counter(true.values())[HIT] == Counter(predicted.values())[HIT]
    return predicted, true
