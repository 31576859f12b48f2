"""Volumes over HTTP: what goes in, what runs, and one label map with what was measured on it."""

import csv
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from ome_zarr_models.v05.image_label import ImageLabel
from PIL import Image

import emserve
from tests.acceptance.exchange import Json, accepted, ended, labels_of, level, post, refused, run, zarr_of
from tests.archives import ome, slices_of, zarr_files, zip_of
from tests.hostile_volumes import repeated
from tests.mrcs import MrcOptions, mrc
from tests.pictures import tiff
from tests.running_service import RunningService
from training.phantoms import make_volume_phantom

VOXEL_NM = (25.0, 10.0, 10.0)
SHAPE = (14, 160, 192)
_OME = {
    f"PhysicalSize{axis}{part}": value
    for axis, size in zip("ZYX", VOXEL_NM, strict=True)
    for part, value in (("", size), ("Unit", "nm"))
}


@pytest.fixture(scope="module")
def grey() -> NDArray[np.uint8]:
    return make_volume_phantom(3, SHAPE, VOXEL_NM).image


@pytest.fixture(scope="module")
def volume(http: httpx.Client, grey: NDArray[np.uint8]) -> Json:
    """A succeeded job of a stack, for tests that only read."""
    value = tiff(grey, ome=True, metadata={"axes": "ZYX", **_OME})
    return run(http, value, filename="stack.ome.tif", params={"min_size": 50, "min_extent": 2})


# ---- what comes out ---------------------------------------------------------------------------------


def test_a_stack_becomes_one_label_map(http: httpx.Client, volume: Json) -> None:
    assert (volume["input"]["axes"], volume["input"]["shape"]) == ("ZYX", list(SHAPE))
    assert (volume["input"]["pixel_size_nm"], volume["input"]["pixel_size_source"]) == (
        list(VOXEL_NM),
        "file",
    )
    assert volume["params"]["mode"] == "stack"
    assert (volume["result"]["axes"], volume["result"]["shape"]) == ("ZYX", list(SHAPE))
    labels = labels_of(http, volume)
    assert labels.shape == SHAPE
    assert labels.dtype == volume["result"]["dtype"]
    np.testing.assert_array_equal(np.unique(labels), np.arange(volume["result"]["objects"] + 1))
    assert volume["result"]["objects"] > 1


def test_objects_have_their_measures_in_voxels_and_nanometres(http: httpx.Client, volume: Json) -> None:
    labels = labels_of(http, volume)
    body = http.get(f"/v1/jobs/{volume['id']}/objects").json()
    assert body["count"] == len(body["objects"]) == volume["result"]["objects"]
    for row in body["objects"]:
        voxels = np.argwhere(labels == row["label"])
        assert row["volume_vx"] == len(voxels)
        assert row["volume_nm3"] == pytest.approx(len(voxels) * np.prod(VOXEL_NM), rel=1e-5)
        assert [row[f"bbox_{axis}0_vx"] for axis in "zyx"] == voxels.min(axis=0).tolist()
        assert [row[f"bbox_{axis}1_vx"] for axis in "zyx"] == (voxels.max(axis=0) + 1).tolist()
    rows = list(csv.DictReader(io.StringIO(http.get(f"/v1/jobs/{volume['id']}/objects?format=csv").text)))
    assert [int(row["volume_vx"]) for row in rows] == [row["volume_vx"] for row in body["objects"]]


@pytest.mark.parametrize("name", ["ome-tiff", "tiff"])
def test_a_tiff_holds_the_labels(http: httpx.Client, volume: Json, name: str) -> None:
    answer = http.get(f"/v1/jobs/{volume['id']}/labels", params={"format": name})
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(answer.content)), labels_of(http, volume))


def test_regions_and_slices(http: httpx.Client, volume: Json) -> None:
    labels = labels_of(http, volume)
    np.testing.assert_array_equal(labels_of(http, volume, z=7), labels[7])
    np.testing.assert_array_equal(
        labels_of(http, volume, z0=3, z1=9, y0=20, y1=99, x0=5), labels[3:9, 20:99, 5:]
    )
    refused(http.get(f"/v1/jobs/{volume['id']}/labels?z=14"), 422, "invalid-request", "0 to 13", "slice 14")
    refused(http.get(f"/v1/jobs/{volume['id']}/labels?format=png"), 406, "not-acceptable", "?z=")
    refused(http.get(f"/v1/jobs/{volume['id']}/labels?format=png&z0=7&z1=8"), 406, "not-acceptable", "?z=")
    png = http.get(f"/v1/jobs/{volume['id']}/labels?format=png&z=7")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png.content))), labels[7])


def test_zarr_opens_the_url_of_the_result(service: RunningService, http: httpx.Client, volume: Json) -> None:
    assert volume["links"]["labels_zarr"] == f"/v1/jobs/{volume['id']}/labels.zarr"
    group = zarr_of(service, volume)
    (multiscale,) = ImageLabel.from_zarr(group).ome_attributes.multiscales
    assert [(axis.name, axis.unit) for axis in multiscale.axes] == [(axis, "nanometer") for axis in "zyx"]
    scale = multiscale.datasets[0].coordinateTransformations[0]
    assert scale.model_dump()["scale"] == list(VOXEL_NM)
    np.testing.assert_array_equal(level(group), labels_of(http, volume))


def test_zarr_opens_the_map_while_it_is_written_and_when_it_is_whole(
    service: RunningService, http: httpx.Client, grey: NDArray[np.uint8]
) -> None:
    large = np.tile(grey, (1, 4, 3))  # so large that there is a smaller copy
    params = {"downsampling": 16, "min_size": 0, "min_extent": 0}
    job = accepted(post(http, tiff(large, photometric="minisblack"), params=params))
    url = f"/v1/jobs/{job['id']}/labels.zarr"
    refused(http.get(f"{url}/zarr.json"), 409, "result-not-ready", "has not begun")
    while "labels_zarr" not in job["links"] and job["finished_at"] is None:
        job = http.get(f"/v1/jobs/{job['id']}").json()
    child = service.child()
    child.suspend()
    try:
        job = http.get(f"/v1/jobs/{job['id']}").json()
        assert (job["status"], job["stage"]) == ("running", "write")
        assert job["links"]["labels_zarr"] == url
        assert http.get(f"{url}/zarr.json").headers["cache-control"] == "no-cache"
        refused(http.get(f"{url}/zarr.json?class=mito"), 409, "result-not-ready")
        group = zarr_of(service, job)
        ImageLabel.from_zarr(group)
        early = level(group)
    finally:
        child.resume()
    assert ended(http, job)["status"] == "succeeded"
    whole = labels_of(http, job)
    assert early.shape == whole.shape == large.shape
    np.testing.assert_array_equal(early, np.where(early > 0, whole, 0))
    group = zarr_of(service, job)
    ImageLabel.from_zarr(group)
    np.testing.assert_array_equal(level(group), whole)
    np.testing.assert_array_equal(level(group, "1"), whole[::2, ::2, ::2])
    assert "immutable" in http.get(f"{url}/zarr.json").headers["cache-control"]


def test_provenance_says_what_ran(http: httpx.Client, volume: Json) -> None:
    body = http.get(f"/v1/jobs/{volume['id']}/provenance").json()
    assert (body["input"], body["params"]) == (volume["input"], volume["params"])
    assert {"decode", "infer", "group", "track", "write"} <= body["seconds"].keys()


def test_what_was_noted_for_later_attempts_is_gone(service: RunningService, volume: Json) -> None:
    folder = service.data_dir / "store" / "jobs" / volume["id"]
    assert not (folder / "ledger").exists()


# ---- what goes in -----------------------------------------------------------------------------------


def _forms(grey: NDArray[np.uint8]) -> dict[str, bytes]:
    cell = (VOXEL_NM[2] * SHAPE[2] * 10, VOXEL_NM[1] * SHAPE[1] * 10, VOXEL_NM[0] * SHAPE[0] * 10)
    signed = (grey ^ 128).view(np.int8)
    return {
        "bigtiff": tiff(grey, bigtiff=True, photometric="minisblack", metadata=None, compression="zlib"),
        "mrc": mrc(signed, MrcOptions(cell_angstrom=cell)),
        "slices": zip_of(slices_of(grey, "s_{:03}.tif", compression="zlib"), zipfile.ZIP_DEFLATED),
        "zarr 0.4": zip_of(zarr_files(grey, ome("zyx", list(VOXEL_NM)), 2)),
        "zarr 0.5": zip_of(zarr_files(grey, ome("zyx", list(VOXEL_NM)), 3, chunks=(5, 64, 64))),
    }


@pytest.mark.parametrize("form", ["bigtiff", "mrc", "slices", "zarr 0.4", "zarr 0.5"])
def test_the_same_volume_gives_the_same_labels_in_any_form(
    http: httpx.Client, grey: NDArray[np.uint8], volume: Json, form: str
) -> None:
    params = {"min_size": 50, "min_extent": 2, "pixel_size_nm": list(VOXEL_NM)}
    job = run(http, _forms(grey)[form], params=params)
    np.testing.assert_array_equal(labels_of(http, job), labels_of(http, volume))


def test_a_zip_may_be_the_body_itself(http: httpx.Client, grey: NDArray[np.uint8]) -> None:
    value = zip_of(slices_of(grey[:2, :32, :32]))
    headers = {"Content-Type": "application/zip"}
    answer = http.post("/v1/jobs?model=mitonet&filename=cell.zip", content=value, headers=headers)
    assert ended(http, accepted(answer))["status"] == "succeeded"


def test_pages_without_names_are_slices_and_that_is_said(http: httpx.Client, grey: NDArray[np.uint8]) -> None:
    job = accepted(post(http, tiff(grey[:, :64, :64], photometric="minisblack", metadata=None)))
    assert "axes-assumed" in [each["code"] for each in job["warnings"]]
    assert ended(http, job)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("model", "slices", "sizes", "own"),
    [
        ("mitonet", 6, (130, 1, 90), {"min_slice_size": 90, "min_size": 130, "min_extent": 1}),
        ("nucleonet", 6, (10_000, 5, 500), {"min_slice_size": 500, "min_size": 10_000}),
        ("nucleonet", 3, (10_000, 3, 500), {"min_slice_size": 500, "min_size": 10_000}),
        ("dropnet", 6, (1000, 2, 200), {"min_slice_size": 200, "min_size": 1000, "min_extent": 2}),
    ],
)
def test_a_stack_drops_what_its_model_calls_small(
    model: str,
    slices: int,
    sizes: tuple[int, int, int],
    own: Json,
    http: httpx.Client,
    grey: NDArray[np.uint8],
) -> None:
    value = tiff(grey[:slices, :64, :64], ome=True, metadata={"axes": "ZYX"})
    params = accepted(post(http, value, model=model))["params"]
    assert (params["min_size"], params["min_extent"], params["min_slice_size"]) == sizes
    assert http.get(f"/v1/models/{model}@starter").json()["stack_defaults"] == own


def test_a_single_time_of_many_is_an_image(http: httpx.Client, grey: NDArray[np.uint8]) -> None:
    value = tiff(grey[:2], ome=True, metadata={"axes": "TYX"})
    refused(post(http, value), 422, "unsuitable-image", "2 times", '{"time": 0}')
    assert run(http, value, params={"time": 1})["input"]["axes"] == "YX"


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"mode": "stack"}, "mode"),
        ({"inference_plane": "xz"}, "inference_plane"),
        ({"median_slices": 5}, "median_slices"),
        ({"min_slice_size": 5}, "min_slice_size"),
        ({"label_erosion": 1}, "label_erosion"),
        ({"pixel_vote_thr": 1}, "pixel_vote_thr"),
        ({"allow_one_view": True}, "allow_one_view"),
        ({"pixel_size_nm": [30, 4, 4]}, "pixel_size_nm"),
    ],
)
def test_parameters_of_volumes_are_refused_for_an_image(
    http: httpx.Client, cell: bytes, params: Json, name: str
) -> None:
    problem = refused(post(http, cell, params=params), 422, "invalid-request", name)
    assert problem["errors"][0]["pointer"] == f"/params/{name}"


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"pixel_vote_thr": 1}, "pixel_vote_thr"),
        ({"mode": "slices", "median_slices": 5}, "median_slices"),
        ({"mode": "slices", "min_slice_size": 5}, "min_slice_size"),
        ({"mode": "orthoplane", "inference_plane": "xz"}, "inference_plane"),
        ({"pixel_size_nm": [4, 4]}, "pixel_size_nm"),
    ],
)
def test_parameters_without_effect_on_a_volume_are_refused(
    http: httpx.Client, grey: NDArray[np.uint8], params: Json, name: str
) -> None:
    value = tiff(grey[:3, :32, :32], photometric="minisblack")
    refused(post(http, value, params=params), 422, "invalid-request", name)


def test_a_volume_that_no_disk_holds_is_refused_before_it_is_accepted(
    service: RunningService, http: httpx.Client
) -> None:
    before = set((service.data_dir / "store" / "jobs").iterdir())
    value = repeated(side=20_000, pages=2000)
    problem = refused(post(http, value), 507, "storage-full", "this volume", "EMSERVE_MIN_FREE_BYTES")
    assert problem["kind"] == "system"
    assert problem["given"] > 20_000**2 * 2000 > problem["limit"]
    assert f"{problem['given']} bytes" in problem["detail"]
    assert set((service.data_dir / "store" / "jobs").iterdir()) == before


def test_an_array_of_three_axes_is_a_volume_for_python(
    service: RunningService, http: httpx.Client, grey: NDArray[np.uint8], volume: Json, tmp_path: Path
) -> None:
    params = {"pixel_size_nm": list(VOXEL_NM), "min_size": 50, "min_extent": 2}
    with emserve.Client(service.url) as client:
        found = client.segment(grey, model="mitonet", params=params)
        np.testing.assert_array_equal(found.labels, labels_of(http, volume))
        assert zipfile.is_zipfile(client.save(found.job.id, "labels", tmp_path / "labels.zarr.zip"))


def test_the_command_line_takes_a_folder_of_slices(
    service: RunningService, grey: NDArray[np.uint8], tmp_path: Path
) -> None:
    folder = tmp_path / "cell"
    folder.mkdir()
    for name, value in slices_of(grey[:6]).items():
        (folder / name).write_bytes(value)
    command = [sys.executable, "-m", "emserve.cli", "submit", ".", "--model", "mitonet", "--out", ".."]
    done = subprocess.run(
        [*command, "--url", service.url], cwd=folder, check=True, capture_output=True, text=True
    )
    assert tifffile.imread(tmp_path / "cell.labels.tif").shape == (6, *SHAPE[1:])  # "." has a name
    assert "cell: job " in done.stderr
