"""Holes are filled and small objects dropped without touching anything else."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from workers.inference.holes import fill_holes
from workers.inference.merge import Merged, keep
from workers.inference.sizes import large_enough


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


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_filling_adds_to_each_object_only_what_it_encloses(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = (rng.integers(0, 4, (12, 12)) * (rng.random((12, 12)) < 0.7)).astype(np.uint32)
    filled = fill_holes(labels)
    np.testing.assert_array_equal(filled[labels > 0], labels[labels > 0])
    enclosed = np.zeros(labels.shape, np.bool_)
    for label in (1, 2, 3):
        inside = ndimage.binary_fill_holes(labels == label)
        assert inside is not None
        assert inside[(filled == label)].all()
        enclosed |= inside
    np.testing.assert_array_equal(filled > 0, enclosed)


def test_small_and_thin_objects_go_and_the_rest_is_numbered_without_gaps() -> None:
    labels = np.zeros((20, 20), np.uint32)
    labels[0, 0] = 1
    labels[2:4, 0:15] = 2
    labels[6:12, 0:6] = 3
    merged = Merged(labels, np.array([0, 1, 1, 1], np.uint8), np.array([0, 5, 6, 7], np.uint32))
    kept = keep(merged, large_enough(labels, min_pixels=2, min_extent=0))
    np.testing.assert_array_equal(np.unique(kept.labels), [0, 1, 2])
    np.testing.assert_array_equal(kept.centre_ids, [0, 6, 7])
    kept = keep(merged, large_enough(labels, min_pixels=0, min_extent=3))
    np.testing.assert_array_equal(kept.labels > 0, labels == 3)
    assert kept.count == 1
