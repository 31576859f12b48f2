"""Images are decoded in less memory than they take, wherever their files allow it."""

import io
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import repeat
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from emserve.errors import UnreadableImage
from emserve.imaging import Decode
from emserve.imaging_pool import ImagingPool
from emserve.jobs import ImageSource
from tests.decoded import grey_of
from tests.mrcs import mrc
from tests.smaller_bands import bands_of
from workers.images.decode import decode

_TILE = 1024
_SPARE_BYTES = 64 << 20  # for a few bands; far less than the images


def decoding(folder: Path) -> Decode:
    source = ImageSource()
    return Decode(storage_url=folder.as_uri(), key="input", source=source, out=folder / "out.npy")


def write_tiles(path: Path, side: int) -> None:
    """A black image of 16 bits, from one tile that is compressed only once."""
    tiles = repeat(zlib.compress(bytes(2 * _TILE * _TILE)), (side // _TILE) ** 2)
    write_compressed(path, tiles, side, tile=(_TILE, _TILE))


def write_one_strip(path: Path, side: int) -> None:
    """Its pixels are not all there, which nobody would find out before there was room for them."""
    write_compressed(path, iter([zlib.compress(bytes(1000))]), side, rowsperstrip=side)


def write_compressed(path: Path, segments: Iterator[bytes], side: int, **layout: Any) -> None:
    """Strips or tiles that are compressed already; `layout` is tifffile's."""
    options: dict[str, Any] = {"compression": "zlib", "photometric": "minisblack", **layout}
    tifffile.imwrite(path, segments, shape=(side, side), dtype=np.uint16, **options)


def write_jpeg(path: Path, side: int) -> None:
    """A small JPEG whose header says that it is large."""
    file = io.BytesIO()
    Image.new("L", (16, 16)).save(file, "JPEG")
    value = bytearray(file.getvalue())
    struct.pack_into(">HH", value, value.index(b"\xff\xc0") + 5, 2 * side, side)
    path.write_bytes(value)


@pytest.fixture(scope="module")
def limit_bytes(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The address space of a process that has decoded a small image, and a few bands more."""
    folder = tmp_path_factory.mktemp("small")
    write_tiles(folder / "input", _TILE)
    pool = ImagingPool(size=1, memory_bytes=8 << 30, cpu_seconds=60)
    try:
        pool.call(decoding(folder), timeout_s=60)
        (pid,) = pool.process_ids
        return int(psutil.Process(pid).memory_info().vms) + _SPARE_BYTES
    finally:
        pool.close()


@pytest.fixture(scope="module")
def limited_pool(limit_bytes: int) -> Iterator[ImagingPool]:
    pool = ImagingPool(size=1, memory_bytes=limit_bytes, cpu_seconds=60)
    yield pool
    pool.close()


@pytest.fixture
def side(limit_bytes: int) -> int:
    """Of a square image of 16 bits that takes more than the limit by itself."""
    return (isqrt(limit_bytes // 2) // _TILE + 1) * _TILE


def test_an_image_larger_than_the_processs_memory_is_decoded(
    limited_pool: ImagingPool, folder: Path, side: int
) -> None:
    write_tiles(folder / "input", side)
    decoded = limited_pool.call(decoding(folder), timeout_s=60)
    assert (decoded.shape, decoded.dtype) == ([side, side], "uint16")
    assert decoded.path.stat().st_size > 2 * side * side
    decoded.path.unlink()


@pytest.mark.parametrize("write", [write_one_strip, write_jpeg])
def test_where_the_file_forbids_it_the_user_learns_why(
    write: Callable[[Path, int], None], limited_pool: ImagingPool, limit_bytes: int, folder: Path, side: int
) -> None:
    write(folder / "input", side)
    with pytest.raises(UnreadableImage, match=f"{limit_bytes} bytes of memory.*tiles or without compression"):
        limited_pool.call(decoding(folder), timeout_s=60)
    write_tiles(folder / "input", _TILE)
    assert limited_pool.call(decoding(folder), timeout_s=60).shape == [_TILE, _TILE]


def tiff(**options: Any) -> Callable[[NDArray[Any]], bytes]:
    def write(array: NDArray[Any]) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, array, metadata=None, photometric="minisblack", **options)
        return file.getvalue()

    return write


def png(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("write", "axes"),
    [
        (tiff(), "YX"),
        (tiff(rowsperstrip=7, compression="lzw"), "YX"),
        (tiff(rowsperstrip=7, compression="zlib", predictor=True, byteorder=">"), "YX"),
        (tiff(tile=(32, 128), compression="zstd"), "YX"),
        (tiff(tile=(32, 128)), "XY"),
        (mrc, "YX"),
        (png, "YX"),
    ],
    ids=["plain", "strips", "predicted strips", "tiles", "turned tiles", "mrc", "png"],
)
def test_a_few_bands_are_all_that_is_held(
    write: Callable[[NDArray[Any]], bytes], axes: str, tmp_path: Path
) -> None:
    image = np.add.outer(np.arange(1024), np.arange(1024)).astype(np.uint16)
    (tmp_path / "input").write_bytes(write(image))
    with bands_of(1 << 16), (tmp_path / "input").open("rb") as file:
        grey_of(file, ImageSource(axes=axes))  # what is imported and compiled does not count
        tracemalloc.start()
        try:
            decode(file, ImageSource(axes=axes), tmp_path / "out.npy")
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < image.nbytes / 4
