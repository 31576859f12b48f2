"""Every kind of file gives its values, whole or slab by slab, or says what is wrong with it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import tifffile
import zarr
from numpy.typing import NDArray
from obstore.store import LocalStore
from PIL import Image

from tests.mrcs import mrc
from tests.stored_labels import write_labels
from workers.evaluation import stored_array
from workers.evaluation.overlaps import UnusableLabels
from workers.evaluation.stored_array import open_array
from workers.images.label_files import write_npy, write_png
from workers.images.label_map import LabelMap
from workers.images.label_tiffs import write_imagej_tiff, write_ome_tiff

Write = Callable[[NDArray[Any], Path], Path]


def flat(seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(0, 1000, (70, 90), dtype=np.uint16)


def stack() -> NDArray[np.uint16]:
    return np.random.default_rng(1).integers(0, 1000, (7, 40, 50), dtype=np.uint16)


def as_tiff(**options: Any) -> Write:  # tifffile's options are free-form
    def write(array: NDArray[Any], folder: Path) -> Path:
        tifffile.imwrite(folder / "a.tif", array, photometric="minisblack", **options)
        return folder / "a.tif"

    return write


def as_result(render: Callable[[LabelMap, Path], None]) -> Write:
    """As the service writes it."""

    def write(array: NDArray[Any], folder: Path) -> Path:
        render(write_labels(LocalStore(folder, mkdir=True), "labels", array, None), folder / "a")
        return folder / "a"

    return write


def as_ome_zarr(array: NDArray[Any], folder: Path) -> Path:
    write_labels(LocalStore(folder, mkdir=True), "labels.zarr", array, None)
    return folder / "labels.zarr"


def as_zip(array: NDArray[Any], folder: Path) -> Path:
    return Path(shutil.make_archive(str(folder / "a"), "zip", as_ome_zarr(array, folder / "in")))


def as_zipped_folder(array: NDArray[Any], folder: Path) -> Path:
    as_ome_zarr(array, folder / "in")
    return Path(shutil.make_archive(str(folder / "a"), "zip", folder / "in"))


def as_zip_with_litter(array: NDArray[Any], folder: Path) -> Path:
    path = as_zipped_folder(array, folder)
    with ZipFile(path, "a") as file:
        file.writestr("__MACOSX/._labels.zarr", b"x")
        file.writestr(".DS_Store", b"x")
    return path


def as_old_ome_zarr(array: NDArray[Any], folder: Path) -> Path:
    """NGFF 0.4, with axes TCZYX."""
    group = zarr.create_group(folder / "old.zarr", zarr_format=2)
    chunks = (1, 1, *(32 for _ in array.shape))
    level = group.create_array("0", shape=(1, 1, *array.shape), dtype=array.dtype, chunks=chunks)
    level[:] = array[None, None]
    group.attrs["multiscales"] = [{"version": "0.4", "datasets": [{"path": "0"}, {"path": "1"}]}]
    return folder / "old.zarr"


def as_bare_zarr(array: NDArray[Any], folder: Path) -> Path:
    zarr.create_array(folder / "bare", data=array, chunks=tuple(min(16, side) for side in array.shape))
    return folder / "bare"


def as_npy(array: NDArray[Any], folder: Path) -> Path:
    np.save(folder / "a.npy", array)
    return folder / "a.npy"


def as_mrc(array: NDArray[Any], folder: Path) -> Path:
    (folder / "a.mrc").write_bytes(mrc(array))
    return folder / "a.mrc"


def as_png(array: NDArray[Any], folder: Path) -> Path:
    Image.fromarray(array).save(folder / "a.png")
    return folder / "a.png"


_OF_THE_SERVICE = {
    "ome-tiff": as_result(write_ome_tiff),
    "imagej tiff": as_result(write_imagej_tiff),
    "npy result": as_result(write_npy),
    "png result": as_result(write_png),
    "ome-zarr": as_ome_zarr,
    "zip": as_zip,
    "zipped folder": as_zipped_folder,
    "zip of a mac": as_zip_with_litter,
}
_OF_OTHERS = {
    "tiff": as_tiff(),
    "big-endian": as_tiff(byteorder=">"),
    "strips": as_tiff(rowsperstrip=7, compression="zlib"),
    "tiles": as_tiff(tile=(16, 32), compression="zstd"),
    "imagej": as_tiff(imagej=True),
    "old ome-zarr": as_old_ome_zarr,
    "zarr": as_bare_zarr,
    "npy": as_npy,
    "mrc": as_mrc,
}


def check(write: Write, array: NDArray[Any], folder: Path) -> None:
    with open_array(write(array, folder)) as stored:
        assert stored.shape == array.shape
        np.testing.assert_array_equal(stored.read(2, 5), array[2:5])
        slabs = list(stored.slabs())
        assert [begin for begin, _ in slabs] == np.cumsum([0, *(len(slab) for _, slab in slabs)])[
            :-1
        ].tolist()
        np.testing.assert_array_equal(np.concatenate([slab for _, slab in slabs]), array)


@pytest.mark.parametrize("slab_bytes", [1, 5000, 1 << 25])
@pytest.mark.parametrize("write", [*_OF_THE_SERVICE.values(), *_OF_OTHERS.values(), as_png])
def test_an_image_reads_back(
    write: Write, slab_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "SLAB_BYTES", slab_bytes)
    check(write, flat(), tmp_path)


@pytest.mark.parametrize("slab_bytes", [1, 9000, 1 << 25])
@pytest.mark.parametrize("write", _OF_OTHERS.values(), ids=_OF_OTHERS.keys())
def test_a_stack_reads_back(
    write: Write, slab_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "SLAB_BYTES", slab_bytes)
    check(write, stack(), tmp_path)


def test_chunks_that_are_too_large_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_array, "_LARGEST_SLAB_BYTES", 2 * 90 * 3)
    path = as_ome_zarr(flat(), tmp_path)
    with open_array(path) as stored:
        assert [begin for begin, _ in stored.slabs()] == list(range(0, 70, 3))


def test_a_large_images_first_level_is_taken(tmp_path: Path) -> None:
    array = np.zeros((20, 4200), np.uint16)
    array[:, ::7] = 3
    check(as_result(write_ome_tiff), array, tmp_path)


@pytest.mark.parametrize("kind", ["a.tif", "a.png"])
def test_of_a_palette_the_numbers_count_and_not_the_colours(kind: str, tmp_path: Path) -> None:
    array = (flat() % 200).astype(np.uint8)
    picture = Image.fromarray(array, "L").convert("P")
    picture.putpalette(np.random.default_rng(0).permutation(768).astype(np.uint8).tobytes())
    picture.putdata(array.ravel().tolist())
    picture.save(tmp_path / kind)
    with open_array(tmp_path / kind) as stored:
        np.testing.assert_array_equal(stored.read(0, 70), array)


def test_masks_of_one_bit_are_bool(tmp_path: Path) -> None:
    check(as_png, flat() > 500, tmp_path)


def write_bytes(value: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / "a").write_bytes(value)
        return folder / "a"

    return write


def cut(write: Write) -> Callable[[Path], Path]:
    def write_cut(folder: Path) -> Path:
        path = write(flat(), folder)
        path.write_bytes(path.read_bytes()[:-100])
        return path

    return write_cut


def of(write: Write, array: NDArray[Any]) -> Callable[[Path], Path]:
    return lambda folder: write(array, folder)


def several(folder: Path) -> Path:
    with tifffile.TiffWriter(folder / "a.tif") as writer:
        writer.write(flat())
        writer.write(flat()[:30].astype(np.uint8))
    return folder / "a.tif"


def without_its_last_planes(**options: Any) -> Callable[[Path], Path]:  # as in as_tiff
    """An OME-TIFF of nine planes that ends after the sixth."""

    def write(folder: Path) -> Path:
        path = as_tiff(ome=True, metadata={"axes": "ZYX"}, **options)(stack()[:6], folder)
        path.write_bytes(path.read_bytes().replace(b'SizeZ="6"', b'SizeZ="9"'))
        return path

    return write


def two_arrays(folder: Path) -> Path:
    group = zarr.create_group(folder / "a.zarr")
    for name in "ab":
        group.create_array(name, data=flat())
    return folder / "a.zarr"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_bytes(b"labels"), "no file that can be compared: save it as TIFF"),
        (write_bytes(b""), "no file that can be compared"),
        (write_bytes(b"II*\0" + bytes(50)), "damaged, or not what it seems"),
        (write_bytes(b"\x93NUMPY"), "damaged, or not what it seems"),
        (write_bytes(b"PK\x03\x04"), "damaged, or not what it seems"),
        (cut(as_tiff()), "damaged, or not what it seems"),
        (cut(as_tiff(compression="zlib", metadata=None)), "damaged, or not what it seems"),
        (cut(as_npy), "damaged, or not what it seems"),
        (cut(as_png), "damaged, or not what it seems"),
        (cut(as_mrc), "damaged, or not what it seems"),
        (without_its_last_planes(), "speaks of 9 planes and lacks 6, 7, 8"),
        (without_its_last_planes(compression="zlib"), "speaks of 9 planes and lacks 6, 7, 8"),
        (several, "several images"),
        (two_arrays, "group without an image"),
        (lambda folder: folder, "holds no Zarr array"),
        (of(as_png, np.zeros((5, 6, 3), np.uint8)), "holds colours"),
        (of(as_tiff(), np.zeros((2, 3, 4, 5), np.uint8)), "array of 2 x 3 x 4 x 5"),
        (of(as_npy, np.zeros(7, np.uint8)), "array of 7"),
        (of(as_npy, np.zeros((), np.uint8)), "array of no axes"),
        (of(as_npy, np.zeros((0, 5), np.uint8)), "array of 0 x 5"),
        (of(as_npy, np.array([[None]])), "damaged, or not what it seems"),
    ],
)
def test_what_cannot_be_read_says_why(write: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(UnusableLabels, match=message) as caught, open_array(path) as stored:
        list(stored.slabs())
    assert str(path) in str(caught.value)


def test_colours_in_a_tiff_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 6, 3), np.uint8), photometric="rgb")
    with pytest.raises(UnusableLabels, match="holds colours"), open_array(tmp_path / "a.tif"):
        pass
