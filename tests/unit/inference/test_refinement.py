"""Holes are filled and small objects dropped without touching anything else."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from emserve.params import Parameters
from tests.sheets import all_labels, merged_of
from workers.inference import holes
from workers.inference.measure import Scene, measure
from workers.inference.pipeline import drop_small
from workers.inference.rows import ArrayRows, Workspace


def fill_holes(labels: NDArray[np.uint32]) -> NDArray[np.uint32]:
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        merged = merged_of(workspace, labels)
        holes.fill_holes(merged)
        return all_labels(merged)


def ring(labels: NDArray[np.uint32], box: tuple[int, int, int, int], label: int) -> None:
    y0, x0, y1, x1 = box
    labels[y0:y1, [x0, x1 - 1]] = label
    labels[[y0, y1 - 1], x0:x1] = label


def test_a_hole_becomes_part_of_the_object_around_it() -> None:
    labels = np.zeros((10, 10), np.uint32)
    ring(labels, (2, 2, 8, 8), 1)
    filled = fill_holes(labels)
    assert (filled[2:8, 2:8] == 1).all()
    assert filled.sum() == 36


def test_an_object_inside_another_keeps_its_pixels_and_its_own_hole() -> None:
    labels = np.zeros((20, 20), np.uint32)
    ring(labels, (1, 1, 19, 19), 1)
    ring(labels, (6, 6, 14, 14), 2)
    filled = fill_holes(labels)
    assert (filled[6:14, 6:14] == 2).all()
    assert (filled[1:6, 1:19] == 1).all()


def test_background_between_two_objects_is_nobodys_hole() -> None:
    labels = np.zeros((8, 8), np.uint32)
    ring(labels, (1, 1, 7, 7), 1)
    labels[1:7, 4:] = np.where(labels[1:7, 4:] > 0, 2, 0)
    np.testing.assert_array_equal(fill_holes(labels), labels)


def test_a_bay_that_reaches_the_border_of_the_image_stays_open() -> None:
    labels = np.zeros((6, 6), np.uint32)
    ring(labels, (0, 0, 6, 6), 1)
    labels[0, 3] = 0
    np.testing.assert_array_equal(fill_holes(labels), labels)


def test_background_that_two_objects_enclose_together_is_the_hole_of_what_is_around_both() -> None:
    labels = np.zeros((9, 9), np.uint32)
    labels[1:8, 1:8] = 1
    labels[2:7, 2:7] = 2
    labels[2:7, 4:7] = 3
    labels[3:6, 3:6] = 0
    filled = fill_holes(labels)
    assert (filled[3:6, 3:6] == 1).all()
    np.testing.assert_array_equal(filled[labels > 0], labels[labels > 0])


@pytest.mark.parametrize("band_pixels", [1, 64, 500, 1 << 20])
def test_rings_of_all_heights_are_filled_wherever_bands_begin(
    band_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inference.merge.BAND_PIXELS", band_pixels)
    labels = np.zeros((150, 64), np.uint32)
    expected = labels.copy()
    label = 0
    for x0 in range(0, 64, 8):
        height = 3 + 5 * x0 // 4
        for y0 in range(x0 // 8, 150 - height, height + 1):
            label += 1
            ring(labels, (y0, x0, y0 + height, x0 + 7), label)
            expected[y0 : y0 + height, x0 : x0 + 7] = label
    np.testing.assert_array_equal(fill_holes(labels), expected)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([24, 60, 1 << 20]))
def test_filling_adds_to_each_object_only_what_it_encloses(seed: int, band_pixels: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.integers(0, 4, (12, 12)) * (rng.random((12, 12)) < 0.7)).astype(np.uint32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.inference.merge.BAND_PIXELS", band_pixels)
        filled = fill_holes(labels)
    np.testing.assert_array_equal(filled[labels > 0], labels[labels > 0])
    enclosed = np.zeros(labels.shape, np.bool_)
    for label in (1, 2, 3):
        inside = ndimage.binary_fill_holes(labels == label)
        assert inside is not None
        assert inside[(filled == label)].all()
        enclosed |= inside
    np.testing.assert_array_equal(filled > 0, enclosed)


def test_small_and_thin_objects_go_and_the_rest_is_numbered_without_gaps(workspace: Workspace) -> None:
    labels = np.zeros((20, 20), np.uint32)
    labels[0, 0] = 1
    labels[2:4, 0:15] = 2
    labels[6:12, 0:6] = 3
    merged = merged_of(workspace, labels)
    scene = Scene(ArrayRows(labels.astype(np.uint16)), None, {}, np.zeros(4, np.float32))
    objects = measure(merged, scene)
    kept, rows = drop_small(merged, objects, Parameters(min_size=2))
    np.testing.assert_array_equal(np.unique(all_labels(kept)), [0, 1, 2])
    np.testing.assert_array_equal(kept.centre_ids, [0, 2, 3])
    np.testing.assert_array_equal(rows.columns["area_px"], [30, 36])
    np.testing.assert_array_equal(rows.columns["label"], [1, 2])
    kept, rows = drop_small(merged, objects, Parameters(min_extent=3))
    np.testing.assert_array_equal(all_labels(kept) > 0, labels == 3)
    assert len(rows) == kept.count == 1
