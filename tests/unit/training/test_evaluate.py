"""Scores are exact on cases that one can count by hand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from training.evaluate import evaluate, find_overlaps, summarise


def strips(*parts: tuple[int, int]) -> NDArray[np.uint16]:
    """A row of 100 pixels with objects of (begin, end)."""
    labels = np.zeros((1, 100), np.uint16)
    for label, (begin, end) in enumerate(parts, start=1):
        labels[0, begin:end] = label
    return labels


def test_a_map_agrees_fully_with_itself_whatever_its_labels_are_called() -> None:
    truth = strips((0, 10), (20, 40))
    scores = evaluate(truth.astype(np.uint32) * 1000, truth)
    assert scores.f1_50 == scores.f1_75 == scores.average_precision == scores.panoptic_quality == 1
    assert scores.foreground_iou == 1


def test_hits_misses_and_inventions_are_counted() -> None:
    truth = strips((0, 10), (20, 30), (40, 50))
    found = strips((0, 10), (20, 26), (60, 70), (80, 90))  # IoU 1 and 0.6, two inventions, one miss
    scores = evaluate(found, truth)
    assert (scores.predicted, scores.true) == (4, 3)
    assert scores.precision_50 == pytest.approx(2 / 4)
    assert scores.recall_50 == pytest.approx(2 / 3)
    assert scores.f1_50 == pytest.approx(4 / 7)
    assert scores.f1_75 == pytest.approx(2 / 7)
    assert scores.segmentation_quality == pytest.approx(0.8)
    assert scores.recognition_quality == pytest.approx(4 / 7)
    assert scores.panoptic_quality == pytest.approx(0.8 * 4 / 7)
    assert scores.foreground_iou == pytest.approx(16 / 50)
    # At 0.50, 0.55 and 0.60 two pairs of five objects, above that one of six.
    assert scores.average_precision == pytest.approx((3 * 2 / 5 + 7 * 1 / 6) / 10)


def test_one_object_that_covers_two_counts_once() -> None:
    scores = evaluate(strips((0, 20)), strips((0, 10), (10, 20)))
    assert scores.f1_50 == pytest.approx(2 / 3)


def test_two_empty_maps_agree_and_an_invention_in_an_empty_one_does_not() -> None:
    assert evaluate(strips(), strips()).f1_50 == 1
    assert evaluate(strips((0, 5)), strips()).f1_50 == 0


def test_objects_of_several_images_are_pooled() -> None:
    pooled = summarise(
        [find_overlaps(strips((0, 9)), strips((0, 9))), find_overlaps(strips(), strips((0, 9), (20, 30)))]
    )
    assert pooled.recall_50 == pytest.approx(1 / 3)
    assert pooled.precision_50 == 1


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        evaluate(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8))


def test_the_command_reads_files_and_prints_json(tmp_path: Path) -> None:
    np.save(tmp_path / "found.npy", strips((0, 10)))
    tifffile.imwrite(tmp_path / "truth.tif", strips((0, 10), (20, 30)))
    command = [sys.executable, "-m", "training.evaluate", "--json"]
    files = [str(tmp_path / "found.npy"), str(tmp_path / "truth.tif")]
    answer = subprocess.run([*command, *files], check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(answer.stdout)["recall_50"] == 0.5
