"""Images that are refused when their upload ends: each with its reason, none of them kept."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.acceptance.exchange import post, refused, stored_jobs
from tests.pictures import phantom, tiff
from tests.running_service import RunningService


@pytest.fixture(autouse=True)
def _nothing_is_left(service: RunningService) -> Iterator[None]:
    before = stored_jobs(service)
    yield
    assert stored_jobs(service) == before


@pytest.fixture(scope="module")
def grey() -> NDArray[np.uint8]:
    return phantom(side=128).image


def _png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_an_empty_raw_body(http: httpx.Client) -> None:
    response = http.post("/v1/jobs", params={"model": "mitonet"})
    problem = refused(response, 422, "missing-image", "empty", "`image`")
    assert problem["errors"] == [{"pointer": "/image", "detail": "empty or missing"}]


def test_an_empty_part(http: httpx.Client) -> None:
    refused(post(http, b""), 422, "missing-image", "empty", "`image`")


def test_a_form_without_an_image(http: httpx.Client) -> None:
    refused(post(http, None), 422, "missing-image", "empty", "`image`")


@pytest.mark.parametrize(
    "body",
    [b"Dear service, please segment this.", b"\x00" * 500, b"x", b"<svg/>", b"%PDF-1.7\n"],
)
def test_a_file_that_is_no_image(http: httpx.Client, body: bytes) -> None:
    refused(post(http, body), 415, "unsupported-media-type", "TIFF", "MRC", "PNG", "JPEG")


@pytest.mark.parametrize("kept", [8, 100, 4000, -1])
def test_a_truncated_tiff(http: httpx.Client, grey: NDArray[np.uint8], kept: int) -> None:
    refused(post(http, tiff(grey)[:kept]), 422, "unreadable-image")


def test_a_tiff_whose_directory_points_outside(http: httpx.Client) -> None:
    refused(post(http, b"II*\0" + (10**6).to_bytes(4, "little") + b"\0" * 100), 422, "unreadable-image")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_truncated_picture(http: httpx.Client, grey: NDArray[np.uint8], kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(grey).save(file, kind)
    refused(post(http, file.getvalue()[:-200]), 422, "unreadable-image")


def test_a_colour_image_without_a_channel(http: httpx.Client, grey: NDArray[np.uint8]) -> None:
    colour = tiff(np.stack([grey] * 3, axis=-1), photometric="rgb")
    problem = refused(post(http, colour), 422, "unsuitable-image", "3 channels", "channel")
    assert problem["errors"][0]["pointer"] == "/params/channel"


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "grey with alpha"])
def test_colours_are_never_offered_or_taken_as_pixels(
    http: httpx.Client, grey: NDArray[np.uint8], kind: str
) -> None:
    if kind == "TIFF":
        colour = tiff(np.dstack([grey] * 3), photometric="rgb")
    else:
        colour = _png(np.dstack([grey] * (2 if kind == "grey with alpha" else 3)))
    problem = refused(post(http, colour), 422, "unsuitable-image", "channel", "convert the image to grey")
    assert "axes" not in problem["detail"]
    response = post(http, colour, params={"axes": "ZYX"})
    problem = refused(response, 422, "invalid-request", "colours of a pixel", "ZYX", '"channel": 0')
    assert problem["errors"][0]["pointer"] == "/params/axes"


def test_channels_that_lie_apart_may_be_the_slices_of_a_volume(http: httpx.Client) -> None:
    channels = tiff(np.zeros((5, 32, 32), np.uint8), metadata={"axes": "CYX"}, ome=True)
    refused(post(http, channels), 422, "unsuitable-image", "5 channels", '"axes": "ZYX"')


@pytest.mark.parametrize("channel", [3, 10**9])
def test_a_channel_that_the_image_lacks(http: httpx.Client, grey: NDArray[np.uint8], channel: int) -> None:
    colour = tiff(np.stack([grey] * 3, axis=-1), photometric="rgb")
    response = post(http, colour, params={"channel": channel})
    problem = refused(response, 422, "invalid-request", str(channel), "has 3", "0 to 2")
    assert problem["errors"][0]["pointer"] == "/params/channel"


def test_a_float_image_without_a_range(http: httpx.Client, grey: NDArray[np.uint8]) -> None:
    response = post(http, tiff(grey.astype(np.float32)))
    problem = refused(response, 422, "unsuitable-image", "float32", "intensity_range", "percentile")
    assert problem["errors"][0]["pointer"] == "/params/intensity_range"


def test_pages_of_different_sizes(http: httpx.Client, grey: NDArray[np.uint8]) -> None:
    file = io.BytesIO()
    pages = [Image.fromarray(grey), Image.fromarray(grey[:100, :70])]
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    refused(post(http, file.getvalue()), 422, "unsuitable-image", "2 images", "100 x 70", "same size")


@pytest.mark.parametrize("dtype", ["uint32", "float64", "complex64", "int8"])
def test_a_data_type_that_is_not_taken(http: httpx.Client, grey: NDArray[np.uint8], dtype: str) -> None:
    response = post(http, tiff(grey.astype(dtype)))
    refused(response, 422, "unsuitable-image", dtype, "uint8, uint16, int16, float32", "Convert")


@pytest.mark.parametrize("axes", ["YXC", "YY", "YC"])
def test_axes_that_do_not_fit_the_image(http: httpx.Client, grey: NDArray[np.uint8], axes: str) -> None:
    problem = refused(
        post(http, tiff(grey), params={"axes": axes}), 422, "invalid-request", axes, "128 x 128"
    )
    assert problem["errors"][0]["pointer"] == "/params/axes"
