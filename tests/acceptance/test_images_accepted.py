"""Kinds of images that run, and what their owners are warned of."""

import io

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.acceptance.exchange import Json, run
from tests.pictures import phantom, tiff


def _picture(image: NDArray[np.uint8], kind: str, mode: str = "L") -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).convert(mode).save(file, kind)
    return file.getvalue()


def _codes(job: Json) -> set[str]:
    return {warning["code"] for warning in job["warnings"]}


def _as(dtype: str) -> NDArray[np.generic]:
    image = phantom(side=128).image
    grey = image.astype(np.float32) / 255
    return {
        "uint16": (grey * 65535).astype(np.uint16),
        "int16": (grey * 65535 - 32768).astype(np.int16),
        "bool": image > 128,
    }[dtype]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "bool"])
def test_every_integer_type_runs(http: httpx.Client, dtype: str) -> None:
    job = run(http, tiff(_as(dtype)))
    assert job["input"]["dtype"] == dtype
    assert job["input"]["shape"] == [128, 128]


@pytest.mark.parametrize("given", ["percentile", [0, 255]])
def test_a_float_image_runs_with_a_range(http: httpx.Client, given: Json) -> None:
    job = run(http, tiff(phantom(side=128).image.astype(np.float32)), params={"intensity_range": given})
    assert job["input"]["dtype"] == "float32"
    assert job["params"]["intensity_range"] == given


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_png_and_jpeg_run(http: httpx.Client, kind: str) -> None:
    job = run(http, _picture(phantom(side=128).image, kind), filename=f"cell.{kind.lower()}")
    assert job["input"]["shape"] == [128, 128]
    assert http.get(job["links"]["preview"]).status_code == 200


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_channel_of_a_colour_image_runs(http: httpx.Client, kind: str) -> None:
    job = run(http, _picture(phantom(side=128).image, kind, "RGB"), params={"channel": 1})
    assert job["input"]["axes"] == "YX"
    assert job["params"]["channel"] == 1


def test_a_channel_of_an_rgb_tiff_is_that_channel(http: httpx.Client, finished: Json) -> None:
    image = phantom().image
    colour = np.stack([np.zeros_like(image), image, np.full_like(image, 255)], axis=-1)
    job = run(http, tiff(colour, photometric="rgb"), params={"channel": 1})
    query = {"format": "npy"}
    assert (
        http.get(job["links"]["labels"], params=query).content
        == http.get(finished["links"]["labels"], params=query).content
    )


def test_planes_that_are_channels_run_when_the_caller_says_so(http: httpx.Client) -> None:
    image = phantom(side=128).image
    job = run(
        http, tiff(np.stack([image, image]), photometric="minisblack"), params={"axes": "CYX", "channel": 1}
    )
    assert job["input"]["shape"] == [128, 128]


def test_an_image_of_one_pixel_runs(http: httpx.Client) -> None:
    assert run(http, tiff(np.zeros((1, 1), np.uint8)))["input"]["shape"] == [1, 1]


def test_starter_weights_are_warned_of(finished: Json) -> None:
    (warning,) = finished["warnings"]
    assert warning["code"] == "starter-weights"
    assert "not for science" in warning["detail"]


def test_a_dark_sixteen_bit_image_is_warned_of(http: httpx.Client) -> None:
    job = run(http, tiff(phantom(side=128).image.astype(np.uint16) * 8))
    assert _codes(job) == {"starter-weights", "low-dynamic-range"}


def test_a_sixteen_bit_image_that_uses_its_range_is_not(http: httpx.Client) -> None:
    assert _codes(run(http, tiff(_as("uint16")))) == {"starter-weights"}


@pytest.mark.parametrize(("pixel_nm", "downsampling"), [(12.0, 1), (6.0, 2), (3.0, 4), (50.0, 1)])
def test_the_starter_brings_pixels_to_the_size_it_knows(
    http: httpx.Client, cell: bytes, pixel_nm: float, downsampling: int
) -> None:
    job = run(http, cell, params={"pixel_size_nm": [pixel_nm, pixel_nm]})
    assert job["params"]["downsampling"] == downsampling == job["result"]["downsampling"]
    assert job["input"]["pixel_size_source"] == "request"


@pytest.mark.parametrize(("pixel_nm", "downsampling"), [(1e-3, 64), (1e6, 1)])
def test_the_smallest_and_largest_pixels_are_taken(
    http: httpx.Client, cell: bytes, pixel_nm: float, downsampling: int
) -> None:
    job = run(http, cell, params={"pixel_size_nm": [pixel_nm, pixel_nm]})
    assert job["params"]["downsampling"] == downsampling
    assert http.get(job["links"]["objects"]).status_code == 200
    assert http.get(job["links"]["labels"]).status_code == 200


def test_a_chosen_downsampling_stands(http: httpx.Client, cell: bytes) -> None:
    job = run(http, cell, params={"pixel_size_nm": [4.0, 4.0], "downsampling": 1})
    assert job["params"]["downsampling"] == 1


def test_nothing_is_guessed_without_a_pixel_size(http: httpx.Client) -> None:
    job = run(http, tiff(phantom(side=128).image))
    assert job["input"]["pixel_size_nm"] is None
    assert job["input"]["pixel_size_source"] is None
    assert job["params"]["downsampling"] == 1


def test_a_model_can_be_named_with_its_version(http: httpx.Client, cell: bytes) -> None:
    assert run(http, cell, model="mitonet@starter")["model"]["version"] == "starter"
