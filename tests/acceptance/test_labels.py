"""The label map: the same labels in every format, and what each format keeps."""

import io

import httpx
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.acceptance.exchange import Json, run
from tests.pictures import phantom, tiff

_MEDIA_TYPES = {
    "ome-tiff": "image/tiff",
    "tiff": "image/tiff",
    "npy": "application/x-npy",
    "png": "image/png",
}


def _read(body: bytes, media_type: str) -> NDArray[np.integer]:
    file = io.BytesIO(body)
    if media_type == "image/png":
        with Image.open(file) as image:
            return np.asarray(image)
    return np.asarray(np.load(file) if media_type == "application/x-npy" else tifffile.imread(file))


def _labels(http: httpx.Client, job: Json) -> NDArray[np.integer]:
    response = http.get(f"/v1/jobs/{job['id']}/labels", params={"format": "npy"})
    assert response.status_code == 200, response.text
    return np.asarray(np.load(io.BytesIO(response.content)))


@pytest.mark.parametrize(("name", "media_type"), _MEDIA_TYPES.items())
def test_every_format_holds_the_same_labels(
    http: httpx.Client, finished: Json, name: str, media_type: str
) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}/labels", params={"format": name})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == media_type
    np.testing.assert_array_equal(_read(response.content, media_type), _labels(http, finished))


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "image/tiff"),
        ("image/tiff", "image/tiff"),
        ("application/x-npy", "application/x-npy"),
        ("image/png", "image/png"),
        ("text/html, image/tiff;q=0.5, image/png;q=0.9", "image/png"),
        ("image/*", "image/tiff"),
        ("image/png, */*", "image/png"),
        ("image/tiff;q=0, */*", "image/png"),
        ("image/*;q=0, application/x-npy;q=0.1, */*;q=0.05", "application/x-npy"),
    ],
)
def test_the_accept_header_chooses_the_format(
    http: httpx.Client, finished: Json, accept: str, media_type: str
) -> None:
    response = http.get(f"/v1/jobs/{finished['id']}/labels", headers={"Accept": accept})
    assert response.headers["content-type"] == media_type
    assert "Accept" in response.headers["vary"]
    np.testing.assert_array_equal(_read(response.content, media_type), _labels(http, finished))


def test_the_accept_header_may_have_several_lines(http: httpx.Client, finished: Json) -> None:
    in_two_lines = [("Accept", "image/tiff;q=0.5"), ("Accept", "image/png")]
    response = http.get(f"/v1/jobs/{finished['id']}/labels", headers=in_two_lines)
    assert response.headers["content-type"] == "image/png"


def test_the_format_in_the_query_wins_over_accept(http: httpx.Client, finished: Json) -> None:
    path = f"/v1/jobs/{finished['id']}/labels"
    response = http.get(path, params={"format": "npy"}, headers={"Accept": "image/png"})
    assert response.headers["content-type"] == "application/x-npy"


def test_without_any_wish_it_is_an_ome_tiff(http: httpx.Client, finished: Json) -> None:
    body = http.get(f"/v1/jobs/{finished['id']}/labels").content
    with tifffile.TiffFile(io.BytesIO(body)) as file:
        assert file.is_ome


def test_labels_count_from_one_without_gaps(http: httpx.Client, finished: Json) -> None:
    labels = _labels(http, finished)
    assert labels.shape == (256, 256)
    count = finished["result"]["objects"]
    np.testing.assert_array_equal(np.unique(labels), np.arange(count + 1))


def test_few_objects_come_in_eight_bits(http: httpx.Client, finished: Json) -> None:
    assert finished["result"]["objects"] < 256
    assert _labels(http, finished).dtype == np.uint8
    assert finished["result"]["dtype"] == "uint8"


def test_many_objects_come_in_sixteen_bits(http: httpx.Client) -> None:
    image = np.tile(phantom(seed=13, side=256).image, (6, 6))
    job = run(http, tiff(image), params={"min_distance_object_centers": 1, "center_confidence_thr": 0.05})
    labels = _labels(http, job)
    assert job["result"]["objects"] > 255
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(np.unique(labels), np.arange(job["result"]["objects"] + 1))


def test_the_ome_tiff_keeps_axes_and_pixel_size(http: httpx.Client) -> None:
    job = run(http, tiff(phantom().image), params={"pixel_size_nm": [8.0, 12.5], "downsampling": 1})
    body = http.get(f"/v1/jobs/{job['id']}/labels", params={"format": "ome-tiff"}).content
    with tifffile.TiffFile(io.BytesIO(body)) as file:
        pixels = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]["Pixels"]
        page = file.pages.first
        assert file.series[0].axes == "YX"
        assert (page.compression, page.is_tiled) == (tifffile.COMPRESSION.ADOBE_DEFLATE, True)
    assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeYUnit"]) == (8.0, "nm")
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (12.5, "nm")


def test_the_imagej_tiff_keeps_the_pixel_size(http: httpx.Client, finished: Json) -> None:
    body = http.get(f"/v1/jobs/{finished['id']}/labels", params={"format": "tiff"}).content
    with tifffile.TiffFile(io.BytesIO(body)) as file:
        assert file.is_imagej
        assert (file.imagej_metadata or {})["unit"] == "nm"
        numerator, denominator = file.pages.first.tags["XResolution"].value
    assert denominator / numerator == pytest.approx(16.0)


def test_an_image_without_objects_gives_an_empty_label_map(http: httpx.Client) -> None:
    job = run(http, tiff(np.full((70, 90), 255, np.uint8)))
    assert job["result"]["objects"] == 0
    labels = _labels(http, job)
    assert labels.shape == (70, 90)
    assert labels.max() == 0
    assert http.get(f"/v1/jobs/{job['id']}/objects").json() == {"count": 0, "objects": []}
    assert http.get(f"/v1/jobs/{job['id']}/preview.png").status_code == 200


def test_semantic_only_gives_classes_instead_of_objects(http: httpx.Client, cell: bytes) -> None:
    job = run(http, cell, params={"semantic_only": True})
    assert set(np.unique(_labels(http, job))) == {0, 1}


def test_min_size_drops_small_objects(http: httpx.Client, finished: Json, cell: bytes) -> None:
    areas = np.sort(np.bincount(_labels(http, finished).ravel())[1:])
    limit = int(areas[len(areas) // 2]) + 1
    job = run(http, cell, params={"min_size": limit})
    assert job["result"]["objects"] == np.count_nonzero(areas >= limit)
    assert np.bincount(_labels(http, job).ravel())[1:].min() >= limit
