"""Every result format, rendered from storage and read back."""

import csv
import hashlib
import io
import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
import tifffile
from numpy.typing import NDArray
from obstore.store import LocalStore, MemoryStore
from PIL import Image

from emserve import storage
from emserve.errors import HelperDied, NotAcceptable
from emserve.imaging import Render, RenderedFile, ResultFormat
from emserve.imaging_pool import ImagingPool
from emserve.jobs import ImageSource
from emserve.scratch import sweep
from tests.stored_labels import write_labels
from workers.images.label_map import create_labels
from workers.images.objects_file import write_objects
from workers.images.render import render

LABEL_FORMATS = [ResultFormat.OME_TIFF, ResultFormat.TIFF, ResultFormat.NPY, ResultFormat.PNG]
SIZE_NM = (4.6, 5.0)


def blocks(height: int, width: int, side: int) -> NDArray[np.uint32]:
    """Squares of `side` pixels with labels of their own, background between them."""
    y, x = np.mgrid[:height, :width]
    numbers = y // side * -(-width // side) + x // side + 1
    inside = (y % side > 1) & (x % side > 1)
    _, labels = np.unique(np.where(inside, numbers, 0), return_inverse=True)
    return labels.reshape(height, width).astype(np.uint32)


@pytest.fixture
def write(store: LocalStore) -> "Writer":
    return Writer(store)


class Writer:
    """Puts a job's input and attempt into storage."""

    def __init__(self, store: LocalStore) -> None:
        self.store = store

    def __call__(self, labels: NDArray[Any], pixel_size_nm: tuple[float, float] | None = SIZE_NM) -> None:
        write_labels(self.store, storage.labels_prefix("j", "e"), labels, pixel_size_nm)
        image = io.BytesIO()
        tifffile.imwrite(image, np.add.outer(*(np.arange(n) for n in labels.shape)).astype(np.uint16))
        obstore.put(self.store, storage.input_key("j"), image.getvalue())
        columns = {"label": np.arange(1, 3), "area_px": np.array([1.5, np.nan])}
        write_objects(self.store, storage.objects_key("j", "e"), columns)


def request_of(wanted: ResultFormat, folder: Path) -> Render:
    return Render(
        storage_url=folder.as_uri(),
        job_id="j",
        execution_id="e",
        format=wanted,
        source=ImageSource(),
        scratch_dir=folder.parent / "scratch",
    )


def rendered(store: LocalStore, folder: Path, wanted: ResultFormat) -> Path:
    return folder / render(store, request_of(wanted, folder)).key


def array_of(path: Path, wanted: ResultFormat) -> NDArray[Any]:
    if wanted is ResultFormat.NPY:
        return np.asarray(np.load(path))
    if wanted is ResultFormat.PNG:
        with Image.open(path) as picture:
            return np.asarray(picture)
    return np.asarray(tifffile.imread(path))


@pytest.mark.parametrize("wanted", LABEL_FORMATS)
@pytest.mark.parametrize("shape", [(1, 1), (600, 1100), (1030, 40)])
def test_labels_read_back_equal(
    write: Writer, store: LocalStore, folder: Path, wanted: ResultFormat, shape: tuple[int, int]
) -> None:
    labels = blocks(*shape, side=20)
    write(labels)
    array = array_of(rendered(store, folder, wanted), wanted)
    np.testing.assert_array_equal(array, labels)
    expected = np.uint16 if labels.max() > 255 or wanted is ResultFormat.PNG else np.uint8
    assert array.dtype.newbyteorder("=") == expected


def test_large_counts_fit_only_where_they_fit(write: Writer, store: LocalStore, folder: Path) -> None:
    labels = np.arange(70_000, dtype=np.uint32).reshape(200, 350)
    write(labels)
    for wanted in (ResultFormat.OME_TIFF, ResultFormat.NPY):
        array = array_of(rendered(store, folder, wanted), wanted)
        assert array.dtype == np.uint32
        np.testing.assert_array_equal(array, labels)
    for wanted in (ResultFormat.TIFF, ResultFormat.PNG):
        with pytest.raises(NotAcceptable, match="ome-tiff or npy"):
            render(store, request_of(wanted, folder))
    assert not (folder / request_of(ResultFormat.PNG, folder).key).exists()


@pytest.mark.parametrize("wanted", ResultFormat)
def test_the_same_attempt_gives_the_same_bytes(
    write: Writer, store: LocalStore, folder: Path, wanted: ResultFormat
) -> None:
    write(blocks(600, 700, side=50))
    first = render(store, request_of(wanted, folder))
    content = (folder / first.key).read_bytes()
    assert render(store, request_of(wanted, folder)) == first
    assert (folder / first.key).read_bytes() == content


@pytest.mark.parametrize("wanted", ResultFormat)
def test_a_file_is_described_beside_it(
    write: Writer, store: LocalStore, folder: Path, wanted: ResultFormat
) -> None:
    write(blocks(60, 70, side=20))
    request = request_of(wanted, folder)
    file = render(store, request)
    content = (folder / request.key).read_bytes()
    assert file == RenderedFile.model_validate_json((folder / request.description_key).read_bytes())
    assert (file.key, file.bytes) == (request.key, len(content))
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.key.endswith(file.extension)


def test_the_ome_tiff_has_tiles_zlib_and_the_pixel_size(
    write: Writer, store: LocalStore, folder: Path
) -> None:
    write(blocks(600, 700, side=50))
    with tifffile.TiffFile(rendered(store, folder, ResultFormat.OME_TIFF)) as file:
        page = file.pages.first
        assert file.is_ome
        assert (page.tilelength, page.tilewidth, int(page.compression)) == (512, 512, 8)
        assert file.series[0].axes == "YX"
        assert len(file.series[0].levels) == 1
        pixels = tifffile.xml2dict(file.ome_metadata or "")["OME"]["Image"]["Pixels"]
    assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeX"]) == (4.6, 5.0)
    assert (pixels["PhysicalSizeYUnit"], pixels["PhysicalSizeXUnit"]) == ("nm", "nm")


def test_a_large_ome_tiff_has_a_pyramid(write: Writer, store: LocalStore, folder: Path) -> None:
    labels = blocks(520, 4200, side=40)
    write(labels)
    with tifffile.TiffFile(rendered(store, folder, ResultFormat.OME_TIFF)) as file:
        levels = [level.asarray() for level in file.series[0].levels]
    assert [level.shape for level in levels] == [(520, 4200), (260, 2100), (130, 1050), (65, 525)]
    for step, level in zip((1, 2, 4, 8), levels, strict=True):
        np.testing.assert_array_equal(level, labels[::step, ::step])


def test_imagej_finds_its_unit(write: Writer, store: LocalStore, folder: Path) -> None:
    write(blocks(60, 70, side=20))
    with tifffile.TiffFile(rendered(store, folder, ResultFormat.TIFF)) as file:
        assert file.is_imagej
        assert (file.imagej_metadata or {})["unit"] == "nm"
        x, y = (file.pages.first.tags.valueof(f"{axis}Resolution") for axis in "XY")
    assert (x[1] / x[0], y[1] / y[0]) == pytest.approx((5.0, 4.6), rel=1e-6)


@pytest.mark.parametrize("wanted", [ResultFormat.OME_TIFF, ResultFormat.TIFF])
def test_an_unknown_pixel_size_stays_unknown(
    write: Writer, store: LocalStore, folder: Path, wanted: ResultFormat
) -> None:
    write(blocks(60, 70, side=20), pixel_size_nm=None)
    with tifffile.TiffFile(rendered(store, folder, wanted)) as file:
        assert "PhysicalSize" not in (file.ome_metadata or "")
        assert "unit" not in (file.imagej_metadata or {})


def test_objects_are_rendered_as_json_and_csv(write: Writer, store: LocalStore, folder: Path) -> None:
    write(blocks(60, 70, side=20))
    value = json.loads(rendered(store, folder, ResultFormat.JSON).read_text())
    assert value == {"count": 2, "objects": [{"label": 1, "area_px": 1.5}, {"label": 2, "area_px": None}]}
    with rendered(store, folder, ResultFormat.CSV).open(newline="") as file:
        assert list(csv.reader(file)) == [["label", "area_px"], ["1", "1.5"], ["2", ""]]


def test_the_preview_is_at_most_1024_pixels_a_side(write: Writer, store: LocalStore, folder: Path) -> None:
    write(blocks(700, 1500, side=100))
    with Image.open(rendered(store, folder, ResultFormat.PREVIEW)) as picture:
        assert (picture.mode, picture.size) == ("RGB", (1024, 478))


def test_a_missing_attempt_is_the_services_fault(store: LocalStore, folder: Path) -> None:
    for wanted in (ResultFormat.NPY, ResultFormat.JSON):
        with pytest.raises(HelperDied):
            render(store, request_of(wanted, folder))


def test_rendering_goes_to_any_storage(folder: Path) -> None:
    store = MemoryStore()
    labels = create_labels(store, storage.labels_prefix("j", "e"), (10, 12), np.uint8, None)
    labels.array[2:4, 3:5] = 7
    file = render(store, request_of(ResultFormat.NPY, folder))
    array = np.load(io.BytesIO(bytes(obstore.get(store, file.key).bytes())))
    assert (array == 7).sum() == 4


@pytest.fixture
def pool() -> Iterator[ImagingPool]:
    pool = ImagingPool(size=1, memory_bytes=4 * 1024**3, cpu_seconds=60)
    yield pool
    pool.close()


def test_a_real_process_renders_every_format(write: Writer, pool: ImagingPool, folder: Path) -> None:
    write(blocks(600, 700, side=50))
    for wanted in ResultFormat:
        file = pool.call(request_of(wanted, folder), timeout_s=60)
        assert (folder / file.key).stat().st_size == file.bytes
    write(np.arange(70_000, dtype=np.uint32).reshape(200, 350))
    with pytest.raises(NotAcceptable):
        pool.call(request_of(ResultFormat.PNG, folder), timeout_s=60)
    assert list((folder.parent / "scratch").iterdir()) == []


def test_what_a_killed_renderer_leaves_is_swept_and_what_a_living_one_works_with_is_not(
    write: Writer, pool: ImagingPool, folder: Path
) -> None:
    scratch = folder.parent / "scratch"
    write(np.ones((6000, 6000), np.uint32))
    with ThreadPoolExecutor(1) as thread:
        rendering = thread.submit(pool.call, request_of(ResultFormat.OME_TIFF, folder), timeout_s=60)
        while not list(scratch.glob("render-*/*")):
            assert not rendering.done()
        (renderer,) = pool.process_ids
        os.kill(renderer, signal.SIGSTOP)
        sweep(scratch)
        assert list(scratch.glob("render-*/*"))
        os.kill(renderer, signal.SIGKILL)
        with pytest.raises(HelperDied):
            rendering.result()
    sweep(scratch)
    assert list(scratch.iterdir()) == []
