"""Images reach the network as the reference prepares them."""

from pathlib import Path

import numpy as np
import pytest

from emserve.cards import Norms
from workers.inference.preprocess import (
    ImageValues,
    Levels,
    check_values,
    normalise,
    pad,
    shrink,
    uses_little_range,
)

NORMS = Norms(mean=0.57571, std=0.12765)


@pytest.mark.parametrize("name", ["u8", "u16"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_shrinking_gives_the_very_values_of_the_reference(name: str, factor: int, goldens: Path) -> None:
    with np.load(goldens / "preprocess.npz") as file:
        shrunk = shrink(file[name], factor)
        np.testing.assert_array_equal(shrunk, file[f"{name}_resize{factor}"])
        assert shrunk.dtype == file[name].dtype
        np.testing.assert_allclose(normalise(shrunk, NORMS), file[f"{name}_norm{factor}"][0], atol=1e-6)


def test_signed_images_are_normalised_by_their_largest_value(goldens: Path) -> None:
    with np.load(goldens / "preprocess.npz") as file:
        np.testing.assert_allclose(normalise(file["i16"], NORMS), file["i16_norm1"][0], atol=1e-6)


def test_a_given_range_maps_its_ends_to_black_and_white_and_cuts_off_the_rest() -> None:
    image = np.array([[0, 100, 300, 4095]], np.uint16)
    values = normalise(image, NORMS, Levels((100, 300)))
    black, white = (0 - NORMS.mean) / NORMS.std, (1 - NORMS.mean) / NORMS.std
    np.testing.assert_allclose(values, [[black, black, white, white]], rtol=1e-5)


def test_percentiles_ignore_a_hot_pixel() -> None:
    image = np.tile(np.linspace(0, 100, 1000, dtype=np.float32), (10, 1))
    image[0, 0] = 1e6
    values = normalise(image, NORMS, Levels("percentile"))
    assert values.max() == pytest.approx((1 - NORMS.mean) / NORMS.std, rel=1e-5)
    assert values[5, 500] == pytest.approx((0.5 - NORMS.mean) / NORMS.std, abs=0.05)


def test_inverting_twice_changes_nothing() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    inverted = normalise(image, NORMS, Levels(invert=True))
    np.testing.assert_allclose(inverted, normalise(255 - image, NORMS), atol=1e-5)


def test_a_constant_image_gives_finite_values() -> None:
    for image in (np.full((4, 4), 7.0, np.float32), np.zeros((4, 4), np.float32)):
        assert np.isfinite(normalise(image, NORMS, Levels("percentile"))).all()


def test_black_and_white_images_are_taken_as_the_ends_of_the_scale() -> None:
    values = normalise(np.array([[False, True]]), NORMS)
    np.testing.assert_allclose(values, [[-NORMS.mean / NORMS.std, (1 - NORMS.mean) / NORMS.std]], rtol=1e-5)


def test_padding_is_the_mean_grey_below_and_right() -> None:
    padded = pad(np.ones((5, 16), np.float32), 16)
    assert padded.shape == (16, 16)
    assert padded[:5].all()
    assert not padded[5:].any()


def test_values_that_are_no_numbers_are_refused_with_their_place() -> None:
    image = np.zeros((4, 6), np.float32)
    image[2, 3] = np.nan
    image[3, 1] = np.inf
    with pytest.raises(ImageValues, match=r"24 pixels 2 are .* row 2, column 3"):
        check_values(image)


def test_twelve_bits_in_a_sixteen_bit_image_are_noticed() -> None:
    assert uses_little_range(np.array([[0, 4095]], np.uint16))
    assert not uses_little_range(np.array([[0, 40000]], np.uint16))
    assert not uses_little_range(np.array([[0, 10]], np.uint8))
