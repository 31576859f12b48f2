"""The label map of a volume: stored slice by slice with smaller copies, rendered in every format."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from obstore.store import LocalStore
from ome_zarr_models.v05.image_label import ImageLabel
from PIL import Image

from emserve import storage
from emserve.errors import InvalidRequest, NotAcceptable
from emserve.imaging import Render, RenderPart, ResultFormat
from emserve.jobs import ImageSource
from emserve.region import Region
from tests.pictures import tiff
from tests.working_copies import noise
from workers.images import label_levels, label_tiffs
from workers.images.label_levels import levels
from workers.images.label_map import LabelMap, create_labels, label_dtype
from workers.images.label_writer import LabelWriter
from workers.images.montage import Layout, MontageLabels, pack, shrunk_plane
from workers.images.objects_file import write_objects
from workers.images.render import render, render_part

SIZE_NM = (30.0, 5.0, 4.0)
LABELS = (noise((40, 70, 90), "uint16") // 90).astype(np.uint32)
GREY = noise((40, 70, 90), "uint8")


def stored(
    store: LocalStore, labels: NDArray[np.uint32], size: tuple[float, float, float] | None = SIZE_NM
) -> LabelMap:
    """A job's upload and result, as a worker writes them."""
    prefix = storage.labels_prefix("j", "e")
    depth, height, width = labels.shape
    made = create_labels(store, prefix, (depth, height, width), label_dtype(int(labels.max())), size)
    writer, layout = LabelWriter(made), Layout.of((depth, height, width), size)
    planes = MontageLabels(layout)
    for z, plane in enumerate(labels):
        writer.add(plane)
        planes.add(z, plane)
    writer.finish()
    greys = [shrunk_plane(GREY.take(at, axis), layout.sides(axis)) for axis, at in enumerate(layout.middle)]
    obstore.put(store, storage.montage_key("j", "e"), pack(greys, planes.planes, layout.middle))
    obstore.put(store, storage.input_key("j"), tiff(GREY, photometric="minisblack"))
    return made


def rendered(
    store: LocalStore, folder: Path, wanted: ResultFormat, z: int | None = None, class_id: int | None = None
) -> Path:
    call = Render(
        storage_url=folder.as_uri(),
        job_id="j",
        execution_id="e",
        format=wanted,
        source=ImageSource(),
        scratch_dir=folder.parent / "scratch",
        class_id=class_id,
        z=z,
    )
    return folder / render(store, call).key


def part(store: LocalStore, folder: Path, wanted: ResultFormat, region: Region) -> Path:
    call = RenderPart(
        storage_url=folder.as_uri(),
        job_id="j",
        execution_id="e",
        format=wanted,
        region=region,
        out=folder.parent / "part",
    )
    render_part(store, call)
    return call.out


def test_the_volume_comes_back_with_copies_that_get_smaller(
    store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_levels, "_TOP_SIDE", 20)
    monkeypatch.setattr(label_levels, "_SLAB_BYTES", 8 * 70 * 90 * 2)
    stored(store, LABELS)
    group = zarr.open_group(folder / storage.labels_prefix("j", "e"), mode="r")
    (multiscale,) = ImageLabel.from_zarr(group).ome_attributes.multiscales
    steps = [(1, 1, 1), (1, 2, 2), (1, 4, 4), (1, 8, 8), (2, 16, 16)]
    for step, dataset in zip(steps, multiscale.datasets, strict=True):
        array = group[dataset.path]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(array[:], LABELS[:: step[0], :: step[1], :: step[2]])
        scale = [size * each for size, each in zip(SIZE_NM, step, strict=True)]
        assert dataset.coordinateTransformations[0].model_dump()["scale"] == scale
        assert array.chunks[0] == 8


@pytest.mark.parametrize(
    ("shape", "itemsize", "depth"),
    [((1024, 512, 512), 2, 32), ((20, 4096, 4096), 2, 2), ((20, 20_000, 20_000), 4, 1), ((3, 10, 10), 1, 3)],
)
def test_chunks_are_as_deep_as_what_is_held_allows(
    shape: tuple[int, int, int], itemsize: int, depth: int
) -> None:
    assert levels(shape, itemsize, None)[0].chunks[0] == depth


def test_a_chunk_can_be_read_before_the_next_is_written(store: LocalStore, folder: Path) -> None:
    prefix = storage.labels_prefix("j", "e")
    writer = LabelWriter(create_labels(store, prefix, (40, 70, 90), np.uint16, None))
    for plane in LABELS[:35]:
        writer.add(plane)
    array = zarr.open_group(folder / prefix, mode="r")["0"]
    assert isinstance(array, zarr.Array)
    np.testing.assert_array_equal(array[:32], LABELS[:32])
    assert not np.asarray(array[32:]).any()


@pytest.mark.parametrize("wanted", [ResultFormat.OME_TIFF, ResultFormat.TIFF, ResultFormat.NPY])
def test_a_file_holds_the_labels(store: LocalStore, folder: Path, wanted: ResultFormat) -> None:
    stored(store, LABELS)
    path = rendered(store, folder, wanted)
    found = np.load(path) if wanted is ResultFormat.NPY else tifffile.imread(path)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, LABELS)


def test_the_ome_tiff_keeps_axes_sizes_and_copies_of_large_slices(
    store: LocalStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_tiffs, "_LARGE_SIDE", 80)
    monkeypatch.setattr(label_tiffs, "_TOP_SIDE", 30)
    stored(store, LABELS)
    with tifffile.TiffFile(rendered(store, folder, ResultFormat.OME_TIFF)) as file:
        pixels = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]["Pixels"]
        series = file.series[0]
        assert series.axes == "ZYX"
        for level, step in zip(series.levels, (1, 2, 4), strict=True):
            np.testing.assert_array_equal(level.asarray(), LABELS[:, ::step, ::step])
    assert [pixels[f"PhysicalSize{axis}"] for axis in "ZYX"] == list(SIZE_NM)


def test_the_imagej_tiff_keeps_the_distance_of_slices(store: LocalStore, folder: Path) -> None:
    stored(store, LABELS)
    with tifffile.TiffFile(rendered(store, folder, ResultFormat.TIFF)) as file:
        metadata = file.imagej_metadata or {}
        assert (metadata["slices"], metadata["spacing"], metadata["unit"]) == (40, 30.0, "nm")


def test_the_zip_is_the_stored_zarr(store: LocalStore, folder: Path, tmp_path: Path) -> None:
    stored(store, LABELS)
    with zipfile.ZipFile(rendered(store, folder, ResultFormat.ZARR)) as archive:
        archive.extractall(tmp_path / "unpacked")
    array = zarr.open_group(tmp_path / "unpacked", mode="r")["0"]
    assert isinstance(array, zarr.Array)
    np.testing.assert_array_equal(array[:], LABELS)


def test_the_zarr_of_one_class_holds_it_in_every_copy_and_no_chunk_without_it(
    store: LocalStore, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_levels, "_TOP_SIDE", 20)
    monkeypatch.setattr(label_levels, "_SLAB_BYTES", 8 * 70 * 90 * 2)
    labels = LABELS.copy()
    labels[:16] = np.minimum(labels[:16], 5)
    stored(store, labels)
    n = int(labels.max())
    columns = {"label": np.arange(1, n + 1), "class_id": np.where(np.arange(1, n + 1) > 5, 2, 1)}
    write_objects(store, storage.objects_key("j", "e"), columns)
    with zipfile.ZipFile(rendered(store, folder, ResultFormat.ZARR, class_id=2)) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "unpacked")
    group = zarr.open_group(tmp_path / "unpacked", mode="r")
    for path, step in (("0", (1, 1, 1)), ("1", (1, 2, 2)), ("4", (2, 16, 16))):
        array = group[path]
        assert isinstance(array, zarr.Array)
        np.testing.assert_array_equal(
            array[:], np.where(labels > 5, labels, 0)[:: step[0], :: step[1], :: step[2]]
        )
    chunks = {name for name in names if name.startswith("0/c/")}
    assert chunks == {f"0/c/{number}/0/0" for number in (2, 3, 4)}


def test_a_png_holds_one_slice_alone(store: LocalStore, folder: Path) -> None:
    stored(store, LABELS)
    with pytest.raises(NotAcceptable, match=r"one slice.*z="):
        rendered(store, folder, ResultFormat.PNG)
    with Image.open(part(store, folder, ResultFormat.PNG, Region(z=7))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), LABELS[7])


REGIONS: list[tuple[dict[str, int], Any]] = [
    ({"z": 33}, np.s_[33]),
    ({"z": 0, "y0": 5, "y1": 60, "x0": 80}, np.s_[0, 5:60, 80:]),
    ({"z0": 30, "z1": 35, "x1": 3}, np.s_[30:35, :, :3]),
    ({"y0": 69}, np.s_[:, 69:]),
]


@pytest.mark.parametrize("wanted", [ResultFormat.OME_TIFF, ResultFormat.TIFF, ResultFormat.NPY])
@pytest.mark.parametrize(("region", "index"), REGIONS)
def test_a_region_holds_what_the_whole_holds_there(
    store: LocalStore, folder: Path, wanted: ResultFormat, region: dict[str, int], index: Any
) -> None:
    stored(store, LABELS)
    path = part(store, folder, wanted, Region(**region))
    found = np.load(path) if wanted is ResultFormat.NPY else tifffile.imread(path)
    np.testing.assert_array_equal(found, LABELS[index])


@pytest.mark.parametrize("region", [{"z": 40}, {"z0": 5, "z1": 5}, {"z": 1, "z0": 1}, {"y1": 71}, {"x0": 90}])
def test_a_region_that_is_not_inside_is_refused(
    store: LocalStore, folder: Path, region: dict[str, int]
) -> None:
    stored(store, LABELS)
    with pytest.raises(InvalidRequest):
        part(store, folder, ResultFormat.NPY, Region(**region))


def test_the_preview_is_a_montage_in_true_proportions(store: LocalStore, folder: Path) -> None:
    labels = np.zeros_like(LABELS)
    labels[10:30, 20:50, 20:60] = 1
    stored(store, labels)
    with Image.open(io.BytesIO(rendered(store, folder, ResultFormat.PREVIEW).read_bytes())) as picture:
        pixels = np.asarray(picture)
    assert max(pixels.shape) <= 1024
    z, y, x = Layout.of((40, 70, 90), SIZE_NM).pixels
    assert z / y == pytest.approx(40 * 30 / (70 * 5), rel=0.02)
    assert x / y == pytest.approx(90 * 4 / (70 * 5), rel=0.02)
    colourful = np.ptp(pixels.astype(int), axis=-1) > 8
    for plane in (colourful[:y, :x], colourful[y + 8 :, :x], colourful[:y, x + 8 :]):
        assert 0.02 < plane.mean() < 0.6


def test_the_preview_of_a_slice_shows_its_objects(store: LocalStore, folder: Path) -> None:
    labels = np.zeros_like(LABELS)
    labels[10:30, 20:50, 20:60] = 1
    stored(store, labels)
    shares = []
    for z in (5, 15):
        with Image.open(rendered(store, folder, ResultFormat.PREVIEW, z)) as picture:
            shares.append((np.ptp(np.asarray(picture).astype(int), axis=-1) > 8).mean())
    assert shares[0] == 0
    assert shares[1] > 0.1
