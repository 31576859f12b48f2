"""Images reach the network as the reference prepares them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emserve.cards import Norms
from workers.inference.grey_range import warn_of_range
from workers.inference.preprocess import (
    FloatImage,
    GreyImage,
    ImageValues,
    IntensityRange,
    Shrunk,
    choose_levels,
    look,
    normalise,
)
from workers.inference.rows import ArrayRows, BlackAndWhite

NORMS = Norms(mean=0.57571, std=0.12765)
BLACK, WHITE = (0 - NORMS.mean) / NORMS.std, (1 - NORMS.mean) / NORMS.std


def shrink(image: GreyImage, factor: int) -> GreyImage:
    small = Shrunk(ArrayRows(image), factor)
    return small.read(0, small.shape[0])


def normalised(
    image: GreyImage, intensity_range: IntensityRange = "dtype", *, invert: bool = False
) -> FloatImage:
    values = look(ArrayRows(image))
    return normalise(image, NORMS, choose_levels(image.dtype, values, intensity_range, invert))


@pytest.mark.parametrize("name", ["u8", "u16"])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_shrinking_gives_the_very_values_of_the_reference(name: str, factor: int, data: Path) -> None:
    with np.load(data / "preprocess.npz") as file:
        shrunk = shrink(file[name], factor)
        np.testing.assert_array_equal(shrunk, file[f"{name}_resize{factor}"])
        assert shrunk.dtype == file[name].dtype
        np.testing.assert_allclose(normalised(shrunk), file[f"{name}_norm{factor}"][0], atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("factor", [1, 2, 8])
def test_shrinking_by_bands_gives_what_shrinking_at_once_gives(dtype: type, factor: int) -> None:
    image: NDArray[Any] = np.random.default_rng(1).integers(0, 255, (101, 67)).astype(dtype)
    small = Shrunk(ArrayRows(image), factor)
    height = small.shape[0]
    in_bands = [small.read(y0, y0 + 5) for y0 in range(0, height, 5)]
    np.testing.assert_array_equal(np.concatenate(in_bands), small.read(0, height))


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("transposed", [False, True])
def test_shrinking_the_largest_values_of_float32_gives_what_lies_between_them(
    factor: int, transposed: bool
) -> None:
    image = np.tile(np.array([-3e38, 3e38], np.float32), (8, 4))
    image[:, :4] = [1, 2, 4, 8]
    shrunk = shrink(image.T if transposed else image, factor)
    row = {2: [1.5, 6, 0, 0], 4: [3, 0]}[factor]
    np.testing.assert_array_equal(shrunk.T if transposed else shrunk, [row] * (8 // factor))


def test_signed_images_are_normalised_by_their_largest_value(data: Path) -> None:
    with np.load(data / "preprocess.npz") as file:
        np.testing.assert_allclose(normalised(file["i16"]), file["i16_norm1"][0], atol=1e-6)


def test_a_given_range_maps_its_ends_to_black_and_white_and_cuts_off_the_rest() -> None:
    image = np.array([[0, 100, 300, 4095]], np.uint16)
    np.testing.assert_allclose(normalised(image, (100, 300)), [[BLACK, BLACK, WHITE, WHITE]], rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_percentiles_of_integers_are_those_of_numpy(dtype: type) -> None:
    rng = np.random.default_rng(2)
    image: NDArray[Any] = rng.normal(100, 30, (300, 211)).clip(0, 255).astype(dtype)
    assert look(ArrayRows(image)).percentiles == pytest.approx(tuple(np.percentile(image, (1, 99))))


def test_percentiles_ignore_a_hot_pixel() -> None:
    image = np.tile(np.linspace(0, 100, 1000, dtype=np.float32), (10, 1))
    image[0, 0] = 1e6
    values = normalised(image, "percentile")
    assert values.max() == pytest.approx(WHITE, rel=1e-5)
    assert values[5, 500] == pytest.approx((0.5 - NORMS.mean) / NORMS.std, abs=0.05)


def test_percentiles_of_a_large_float_image_are_estimated_from_all_its_columns() -> None:
    image = np.zeros((600, 16384), np.float32)
    image[:, 1::64] = 1  # 1.6 % of the pixels, in columns that no multiple of 64 meets
    image[300:, 2::128] = -1
    low, high = look(ArrayRows(image)).percentiles
    assert (low, high) == (0, 1)
    image[:, 2::64] = -1
    assert look(ArrayRows(image)).percentiles == (-1, 1)


def test_inverting_turns_dark_into_bright() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_allclose(normalised(image, invert=True), normalised(255 - image), atol=1e-5)


def test_a_constant_image_gives_finite_values() -> None:
    for image in (np.full((4, 4), 7.0, np.float32), np.zeros((4, 4), np.float32)):
        assert np.isfinite(normalised(image, "percentile")).all()


def test_black_and_white_images_are_taken_as_the_ends_of_the_scale() -> None:
    image = BlackAndWhite(ArrayRows(np.array([[False, True]])))
    np.testing.assert_allclose(normalised(image.read(0, 1)), [[BLACK, WHITE]], rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused_with_their_place(value: float) -> None:
    image = np.zeros((4, 6), np.float32)
    image[2, 3] = value
    with pytest.raises(ImageValues, match="row 2, column 3"):
        look(ArrayRows(image))


def _codes(image: NDArray[Any], intensity_range: IntensityRange) -> list[str]:
    values = look(ArrayRows(image))
    return [warning.code for warning in warn_of_range(image.dtype, values, intensity_range)]


def test_twelve_bits_in_a_sixteen_bit_image_are_noticed() -> None:
    for image, expected in (
        (np.array([[0, 4095]], np.uint16), True),
        (np.array([[0, 40000]], np.uint16), False),
        (np.array([[-1000, 1000]], np.int16), True),
        (np.array([[-3000, 5000]], np.int16), True),
        (np.array([[-10000, 10000]], np.int16), False),
        (np.array([[0, 10]], np.uint8), False),
    ):
        assert _codes(image, "dtype") == ["low-dynamic-range"] * expected


def test_a_hot_and_a_dead_pixel_do_not_hide_that_an_image_uses_little_of_its_range() -> None:
    image = np.random.default_rng(1).integers(0, 4096, (100, 100), np.uint16)
    image[3, 4], image[50, 60] = 65535, 0
    assert _codes(image, "dtype") == ["low-dynamic-range"]
    image[:2] = 65535  # a fiftieth of the pixels is no accident
    assert not _codes(image, "dtype")


@pytest.mark.parametrize(
    ("dtype", "intensity_range", "noticed"),
    [
        (np.uint16, (0.0, 65535.0), True),
        (np.uint16, (0.0, 4095.0), False),
        (np.uint16, (0.0, 1.0), True),  # all is white
        (np.uint8, (20000.0, 30000.0), True),  # all is black
        (np.uint8, (50.0, 150.0), False),
        (np.float32, (0.0, 1e6), True),
        (np.float32, (-300.0, 300.0), False),
    ],
)
def test_grey_values_that_lie_outside_of_what_is_in_the_image_are_noticed(
    dtype: type[np.generic], intensity_range: tuple[float, float], noticed: bool
) -> None:
    top = 4096 if dtype is np.uint16 else 256
    image = np.random.default_rng(1).integers(0, top, (100, 100)).astype(dtype)
    assert _codes(image, intensity_range) == ["low-dynamic-range"] * noticed


def test_an_image_that_is_nearly_all_empty_has_no_percentiles_to_go_by() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[40:48, 40:50] = 200  # 80 of 10,000 pixels
    values = look(ArrayRows(image))
    (warning,) = warn_of_range(image.dtype, values, "percentile")
    assert "both 0" in warning.detail
    assert "[0, 200]" in warning.detail
    image[:2] = 100
    assert not _codes(image, "percentile")
