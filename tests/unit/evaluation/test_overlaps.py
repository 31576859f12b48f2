"""Overlaps and matchings are those of a slow, plain computation, however the maps are cut into parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from tests.label_maps import Pair, pairs
from tests.strips import strips
from workers.evaluation import overlaps as module
from workers.evaluation.overlaps import OverlapCounter, find_overlaps


@given(pairs())
def test_the_overlaps_are_those_of_every_pair_of_masks(pair: Pair) -> None:
    found, truth = pair
    overlaps = find_overlaps(found, truth)
    labels = (
        overlaps.predicted_objects.labels[overlaps.predicted],
        overlaps.true_objects.labels[overlaps.true],
    )
    seen = {
        (int(p), int(t)): (int(n), float(iou))
        for p, t, n, iou in zip(*labels, overlaps.shared, overlaps.iou, strict=True)
    }
    expected: dict[tuple[int, int], tuple[int, float]] = {}
    for p in np.unique(found[found > 0]):
        for t in np.unique(truth[truth > 0]):
            shared = int(np.count_nonzero((found == p) & (truth == t)))
            if shared:
                either = int(np.count_nonzero((found == p) | (truth == t)))
                expected[int(p), int(t)] = (shared, shared / either)
    assert seen == expected
    foreground = np.count_nonzero(found | truth)
    covered = np.count_nonzero((found > 0) & (truth > 0))
    assert overlaps.foreground_iou == (covered / foreground if foreground else 1)


@given(pairs(), st.sampled_from([0.5, 0.55, 0.75, 0.95]), st.booleans())
def test_the_matching_is_a_best_one(pair: Pair, threshold: float, strict: bool) -> None:
    overlaps = find_overlaps(*pair)
    matched = overlaps.matched(threshold, strict=strict)
    enough = overlaps.iou > threshold if strict else overlaps.iou >= threshold
    gain = np.zeros((len(overlaps.predicted_objects), len(overlaps.true_objects)))
    gain[overlaps.predicted[enough], overlaps.true[enough]] = 1 + overlaps.iou[enough] / 1000
    best = gain[linear_sum_assignment(gain, maximize=True)]
    assert len(matched) == np.count_nonzero(best)
    assert np.sum(1 + overlaps.iou[matched] / 1000) == pytest.approx(best.sum())
    for side in (overlaps.predicted, overlaps.true):
        assert len(np.unique(side[matched])) == len(matched)


def test_a_lower_threshold_is_refused_because_matches_would_not_be_unique() -> None:
    with pytest.raises(ValueError, match=r"below 0\.5"):
        find_overlaps(strips((0, 5)), strips((0, 5))).matched(0.4)


@given(pairs(), st.integers(1, 3))
def test_parts_add_up(pair: Pair, thickness: int) -> None:
    found, truth = pair
    whole = find_overlaps(found, truth)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_WAITING", 3)
        counter = OverlapCounter(_limit=3)  # adds up what waits over and over
        for begin in range(0, len(found), thickness):
            counter.add(found[begin : begin + thickness], truth[begin : begin + thickness])
        added = counter.overlaps()
    np.testing.assert_array_equal(added.shared, whole.shared)
    np.testing.assert_array_equal(added.predicted, whole.predicted)
    np.testing.assert_array_equal(added.true, whole.true)
    np.testing.assert_array_equal(added.true_objects.pixels, whole.true_objects.pixels)
