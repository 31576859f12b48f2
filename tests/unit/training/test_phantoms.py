"""Phantoms are the same for the same seed, and their truth fits the picture."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from training.phantoms import make_phantom


def test_the_same_seed_gives_the_same_pixels_and_another_seed_others() -> None:
    first, again, other = (make_phantom(seed, (192, 192)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize("seed", range(5))
def test_the_truth_numbers_its_objects_without_gaps(seed: int) -> None:
    phantom = make_phantom(seed, (160, 224))
    assert phantom.image.shape == phantom.labels.shape == (160, 224)
    assert phantom.image.dtype == np.uint8
    present = np.unique(phantom.labels)
    np.testing.assert_array_equal(present[present > 0], np.arange(1, phantom.labels.max() + 1))


def test_a_chosen_pixel_size_is_that_of_the_phantom() -> None:
    assert make_phantom(1, (96, 96), 10.0).pixel_size_nm == 10.0
    assert 8 <= make_phantom(1, (96, 96)).pixel_size_nm <= 16


def test_mitochondria_are_found_in_most_phantoms() -> None:
    assert sum(make_phantom(seed, (256, 256)).labels.max() > 0 for seed in range(8)) >= 6


def test_the_command_writes_image_and_truth_with_their_pixel_size(tmp_path: Path) -> None:
    out, truth = tmp_path / "image.tif", tmp_path / "truth.tif"
    command = [sys.executable, "-m", "training.phantoms", "--out", str(out), "--truth", str(truth)]
    subprocess.run([*command, "--seed", "2", "--size", "128"], check=True, timeout=60)
    expected = make_phantom(2, (128, 128))
    np.testing.assert_array_equal(tifffile.imread(out), expected.image)
    np.testing.assert_array_equal(tifffile.imread(truth), expected.labels)
    with tifffile.TiffFile(out) as file:
        pixels, per = file.pages.first.tags["XResolution"].value
    assert 1000 * per / pixels == pytest.approx(expected.pixel_size_nm, rel=1e-3)
