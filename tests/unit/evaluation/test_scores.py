"""Scores are exact on cases that one can count by hand."""

from dataclasses import asdict

import numpy as np
import pytest

from tests.strips import strips
from workers.evaluation.overlaps import UnusableLabels, find_overlaps
from workers.evaluation.summary import evaluate, summarise


def test_a_map_agrees_fully_with_itself_whatever_its_labels_are_called() -> None:
    truth = strips((0, 10), (20, 40))
    scores = evaluate(truth.astype(np.uint64) << np.uint64(40), truth)
    assert scores.f1_50 == scores.f1_75 == scores.average_precision == scores.panoptic_quality == 1
    assert scores.foreground_iou == 1


def test_hits_misses_and_false_hits_are_counted() -> None:
    truth = strips((0, 10), (20, 30), (40, 50))
    found = strips((0, 10), (20, 26), (60, 70), (80, 90))  # IoU 1 and 0.6, two false hits, one miss
    scores = evaluate(found, truth)
    assert (scores.predicted, scores.true) == (4, 3)
    assert (scores.hits, scores.misses, scores.false_hits, scores.splits, scores.merges) == (2, 1, 2, 0, 0)
    assert scores.precision_50 == pytest.approx(2 / 4)
    assert scores.recall_50 == pytest.approx(2 / 3)
    assert scores.f1_50 == pytest.approx(4 / 7)
    assert scores.precision_75 == pytest.approx(1 / 4)
    assert scores.recall_75 == pytest.approx(1 / 3)
    assert scores.f1_75 == pytest.approx(2 / 7)
    assert scores.segmentation_quality == pytest.approx(0.8)
    assert scores.recognition_quality == pytest.approx(4 / 7)
    assert scores.panoptic_quality == pytest.approx(0.8 * 4 / 7)
    assert scores.foreground_iou == pytest.approx(16 / 50)
    # At 0.50, 0.55 and 0.60 two pairs of five objects, above that one of six.
    assert scores.average_precision == pytest.approx((3 * 2 / 5 + 7 * 1 / 6) / 10)


def test_voxels_count_as_pixels_do() -> None:
    truth = np.zeros((4, 10, 10), np.uint8)
    truth[:, 2:6, 2:6] = 7  # 64 voxels
    found = np.zeros((4, 10, 10), np.uint16)
    found[:3, 2:6, 2:6] = 300  # 48 of them
    scores = evaluate(found, truth)
    assert (scores.foreground_iou, scores.segmentation_quality) == (0.75, 0.75)
    assert scores.f1_75 == 1
    assert scores.average_precision == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("end", "hits_50", "hits_75"), [(4, 0, 0), (5, 1, 0), (7, 1, 0), (8, 1, 1)], ids=["40", "50", "70", "80"]
)
def test_an_iou_of_the_threshold_is_enough(end: int, hits_50: int, hits_75: int) -> None:
    scores = evaluate(strips((0, end)), strips((0, 10)))
    assert (scores.hits, scores.f1_50, scores.f1_75) == (hits_50, hits_50, hits_75)


def test_panoptic_quality_wants_more_than_half() -> None:
    assert evaluate(strips((0, 5)), strips((0, 10))).panoptic_quality == 0
    assert evaluate(strips((0, 6)), strips((0, 10))).panoptic_quality == pytest.approx(0.6)


@pytest.mark.parametrize("hundredths", range(50, 100, 5))
def test_average_precision_counts_a_pair_up_to_its_own_iou(hundredths: int) -> None:
    steps = (hundredths - 50) // 5 + 1
    scores = evaluate(strips((0, hundredths)), strips((0, 100)))
    assert scores.average_precision == pytest.approx(steps / 10)


def test_an_object_whose_halves_are_two_others_counts_once() -> None:
    assert evaluate(strips((0, 20)), strips((0, 10), (10, 20))).f1_50 == pytest.approx(2 / 3)
    assert evaluate(strips((0, 10), (10, 20)), strips((0, 20))).f1_50 == pytest.approx(2 / 3)


def test_two_empty_maps_agree_in_everything() -> None:
    values = asdict(evaluate(strips(), strips()))
    assert {name: value for name, value in values.items() if value != 0} == dict.fromkeys(
        list(values)[:11], 1
    )


@pytest.mark.parametrize(("found", "truth"), [(strips((0, 5)), strips()), (strips(), strips((0, 5)))])
def test_an_object_beside_an_empty_map_agrees_in_nothing(found: object, truth: object) -> None:
    assert isinstance(found, np.ndarray)
    assert isinstance(truth, np.ndarray)
    scores = evaluate(found, truth)
    assert scores.f1_50 == scores.precision_50 == scores.recall_50 == scores.average_precision == 0
    assert scores.panoptic_quality == scores.segmentation_quality == scores.foreground_iou == 0


def test_objects_of_several_images_are_pooled() -> None:
    pooled = summarise(
        [find_overlaps(strips((0, 9)), strips((0, 9))), find_overlaps(strips(), strips((0, 9), (20, 30)))]
    )
    assert pooled.recall_50 == pytest.approx(1 / 3)
    assert pooled.precision_50 == 1
    assert (pooled.hits, pooled.misses, pooled.foreground_iou) == (1, 2, 0.5)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (np.zeros((2, 3), np.uint8), "differ in shape: .* 2 x 3 .* 3 x 2"),
        (np.zeros((3, 2), np.float32), "float32"),
        (np.full((3, 2), -1, np.int16), "the label -1"),
    ],
    ids=["shape", "floats", "negative"],
)
def test_what_are_no_label_maps_of_one_shape_is_refused(found: object, message: str) -> None:
    assert isinstance(found, np.ndarray)
    with pytest.raises(UnusableLabels, match=message):
        evaluate(found, np.zeros((3, 2), np.uint8))
