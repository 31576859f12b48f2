"""The modes of volumes over HTTP: three planes that agree, and slices by themselves."""

import csv
import io
from typing import Any

import httpx
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from ome_zarr_models.v05.image_label import ImageLabel
from PIL import Image

from tests.acceptance.exchange import Json, labels_of, level, refused, run, zarr_of
from tests.pictures import tiff
from tests.running_service import RunningService
from training.phantoms import make_volume_phantom

_VOXEL_NM = (12.0, 12.0, 12.0)
_ALL: dict[str, Any] = {"downsampling": 1, "min_size": 0, "min_extent": 0}
_GAP = 8  # of the montage, in pixels


@pytest.fixture(scope="module")
def grey() -> NDArray[np.uint8]:
    """(24, 32, 32) with two mitochondria that all planes show."""
    return np.ascontiguousarray(make_volume_phantom(11, (32, 96, 96), _VOXEL_NM).image[4:28, 32:64, :32])


def segmented(http: httpx.Client, image: NDArray[np.uint8], **params: Any) -> Json:
    size = list(_VOXEL_NM[-image.ndim :])
    value = tiff(image, photometric="minisblack")
    return run(http, value, params={**_ALL, "pixel_size_nm": size, **params})


@pytest.fixture(scope="module")
def agreed(http: httpx.Client, grey: NDArray[np.uint8]) -> Json:
    """A job of mode orthoplane."""
    return segmented(http, grey, mode="orthoplane")


@pytest.fixture(scope="module")
def sliced(http: httpx.Client, grey: NDArray[np.uint8]) -> Json:
    """A job of mode slices."""
    return segmented(http, grey[:8], mode="slices")


@pytest.fixture(scope="module", params=["agreed", "sliced"])
def job(request: pytest.FixtureRequest) -> Json:
    found: Json = request.getfixturevalue(request.param)
    return found


def rows_of(http: httpx.Client, job: Json) -> list[Json]:
    rows: list[Json] = http.get(f"/v1/jobs/{job['id']}/objects").json()["objects"]
    return rows


def colourful(http: httpx.Client, job: Json, query: str = "") -> NDArray[np.bool_]:
    """Where a preview shows objects; the rest of it is grey."""
    answer = http.get(f"/v1/jobs/{job['id']}/preview.png{query}")
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert picture.format == "PNG"
        assert max(picture.size) <= 1024
        pixels = np.asarray(picture).astype(int)
    return np.asarray(pixels.max(axis=-1) - pixels.min(axis=-1) > 8)


# ---- both modes -------------------------------------------------------------------------------------


def test_every_form_holds_the_same_labels(service: RunningService, http: httpx.Client, job: Json) -> None:
    labels = labels_of(http, job)
    assert labels.shape == tuple(job["result"]["shape"]) == tuple(job["input"]["shape"])
    np.testing.assert_array_equal(np.unique(labels), np.arange(job["result"]["objects"] + 1))
    assert job["result"]["objects"] > 1
    answer = http.get(f"/v1/jobs/{job['id']}/labels?format=ome-tiff")
    with tifffile.TiffFile(io.BytesIO(answer.content)) as file:
        assert file.series[0].axes == "ZYX"
        np.testing.assert_array_equal(file.asarray(), labels)
    group = zarr_of(service, job)
    ImageLabel.from_zarr(group)
    np.testing.assert_array_equal(level(group), labels)
    np.testing.assert_array_equal(labels_of(http, job, z=3), labels[3])


def test_provenance_says_what_ran(http: httpx.Client, job: Json) -> None:
    body = http.get(f"/v1/jobs/{job['id']}/provenance").json()
    assert (body["input"], body["params"]) == (job["input"], job["params"])
    assert {"decode", "infer", "group", "write"} <= body["seconds"].keys()


# ---- each of them -----------------------------------------------------------------------------------


def test_three_planes_keep_what_two_of_them_show(
    http: httpx.Client, agreed: Json, grey: NDArray[np.uint8]
) -> None:
    assert (agreed["params"]["mode"], agreed["params"]["pixel_vote_thr"]) == ("orthoplane", 2)
    stacks = [segmented(http, grey, inference_plane=plane) for plane in ("xy", "xz", "yz")]
    votes = sum((labels_of(http, stack) > 0).astype(int) for stack in stacks)
    labels = labels_of(http, agreed)
    np.testing.assert_array_equal(labels > 0, votes >= 2)


def test_objects_of_three_planes_run_through_slices_and_are_measured_in_space(
    http: httpx.Client, agreed: Json, grey: NDArray[np.uint8]
) -> None:
    labels, rows = labels_of(http, agreed), rows_of(http, agreed)
    assert [row["label"] for row in rows] == list(range(1, agreed["result"]["objects"] + 1))
    for row in rows:
        inside = labels == row["label"]
        places = np.argwhere(inside)
        assert row["volume_vx"] == len(places)
        assert row["volume_nm3"] == pytest.approx(len(places) * np.prod(_VOXEL_NM), rel=1e-5)
        assert [row[f"bbox_{axis}0_vx"] for axis in "zyx"] == places.min(axis=0).tolist()
        assert [row[f"bbox_{axis}1_vx"] for axis in "zyx"] == (places.max(axis=0) + 1).tolist()
        centroid = [row[f"centroid_{axis}_vx"] for axis in "zyx"]
        assert centroid == pytest.approx(places.mean(axis=0), rel=1e-5)
        assert row["slices"] == np.count_nonzero(inside.any(axis=(1, 2))) > 1
        assert row["grey_mean"] == pytest.approx(grey[inside].mean(), rel=1e-5)
        assert row["grey_sd"] == pytest.approx(grey[inside].std(), rel=1e-4)
        assert 0 < row["sphericity"] <= 1.1
        assert 0 < row["centre_confidence"] <= 1


def test_a_preview_of_a_slice_shows_the_objects_that_are_in_it(http: httpx.Client, agreed: Json) -> None:
    labels = labels_of(http, agreed)
    for z in (0, 12):
        shown = colourful(http, agreed, f"?z={z}")
        assert shown.shape == (1024, 1024)
        where = labels[z] > 0
        # Outlines are wide: what is shown is close to what is labelled, and nothing where nothing is.
        assert abs(shown.mean() - where.mean()) < 0.1
        assert shown.any() == where.any()
    refused(http.get(f"/v1/jobs/{agreed['id']}/preview.png?z=24"), 422, "invalid-request", "24")


def test_the_montage_shows_three_planes_through_the_middle(http: httpx.Client, agreed: Json) -> None:
    labels = labels_of(http, agreed)
    shown = colourful(http, agreed)
    depth, height, width = labels.shape
    side = round((shown.shape[1] - _GAP) * width / (width + depth))
    planes = (shown[:side, :side], shown[side + _GAP :, :side], shown[:side, side + _GAP :])
    middles = (labels[depth // 2], labels[:, height // 2], labels[:, :, width // 2])
    for plane, middle in zip(planes, middles, strict=True):
        assert abs(plane.mean() - (middle > 0).mean()) < 0.1
    assert not shown[side + _GAP :, side + _GAP :].any()


def test_slices_by_themselves_are_what_they_are_as_images(
    http: httpx.Client, sliced: Json, grey: NDArray[np.uint8]
) -> None:
    labels, rows = labels_of(http, sliced), rows_of(http, sliced)
    last = 0
    for z in (0, 1, 2):
        image = segmented(http, grey[z])
        alone, n = labels_of(http, image).astype(int), image["result"]["objects"]
        np.testing.assert_array_equal(labels[z], np.where(alone > 0, alone + last, 0))
        own = [row for row in rows if row["slice"] == z]
        expected = [{**row, "slice": z, "label": row["label"] + last} for row in rows_of(http, image)]
        assert own == expected
        last += n


def test_no_two_slices_by_themselves_share_a_label(http: httpx.Client, sliced: Json) -> None:
    seen: set[int] = set()
    for plane in labels_of(http, sliced):
        own = set(np.unique(plane[plane > 0]).tolist())
        assert not own & seen
        seen |= own
    text = http.get(f"/v1/jobs/{sliced['id']}/objects?format=csv").text
    table = list(csv.DictReader(io.StringIO(text)))
    assert {int(row["label"]) for row in table} == seen
    assert "volume_vx" not in table[0]


def test_slices_by_themselves_may_be_cut_along_another_axis(
    http: httpx.Client, grey: NDArray[np.uint8]
) -> None:
    job = segmented(http, grey[:, :6], mode="slices", inference_plane="xz")
    labels, rows = labels_of(http, job), rows_of(http, job)
    assert len(rows) == job["result"]["objects"] > 1
    for row in rows:
        z, y, x = np.nonzero(labels == row["label"])
        assert set(y) == {row["slice"]}
        assert (row["bbox_z0_px"], row["bbox_z1_px"]) == (z.min(), z.max() + 1)
        assert (row["bbox_x0_px"], row["bbox_x1_px"]) == (x.min(), x.max() + 1)
        assert row["area_px"] == len(z)
