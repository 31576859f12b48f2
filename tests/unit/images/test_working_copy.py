"""The working copy of a volume: bricks that give back, along every axis, what the file holds."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from emserve.errors import UnreadableImage
from emserve.jobs import ImageSource
from emserve.volumes import working_copy_bytes
from tests.mrcs import mrc
from tests.pictures import tiff
from tests.smaller_bands import bands_of
from tests.working_copies import copied, noise
from workers.images.bricks import Bricks

SIDES = st.tuples(st.integers(2, 70), st.integers(1, 140), st.integers(1, 140))


@given(shape=SIDES, dtype=st.sampled_from(["bool", "uint8", "uint16", "int16", "float32"]))
@settings(max_examples=15, deadline=None)
def test_bricks_give_back_every_plane(shape: tuple[int, int, int], dtype: str, tmp_path_factory: Any) -> None:
    volume = noise(shape, dtype)
    with Bricks(tmp_path_factory.mktemp("bricks") / "bricks", shape, dtype) as bricks:
        for z, plane in enumerate(volume):
            for y0 in range(0, shape[1], 64):
                bricks.write(z, y0, 0, plane[y0 : y0 + 64])
        for axis in range(3):
            side = shape[axis]
            for begin, end in {(0, side), (side // 2, side), (side // 3, side // 3 + 1)}:
                found = bricks.planes(axis, begin, end)
                np.testing.assert_array_equal(found, np.moveaxis(volume, axis, 0)[begin:end])


def test_a_new_working_copy_takes_no_room_and_a_full_one_what_was_stated(tmp_path: Path) -> None:
    volume = noise((100, 130, 70), "uint16")
    path = tmp_path / "bricks"
    with Bricks(path, volume.shape, volume.dtype) as bricks:
        assert path.stat().st_blocks == 0
        for z, plane in enumerate(volume):
            bricks.write(z, 0, 0, plane)
    assert path.stat().st_blocks * 512 <= working_copy_bytes(volume.shape, 2) + 4096


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metadata": None},
        {"bigtiff": True, "compression": "zlib", "rowsperstrip": 10},
        {"compression": "lzw", "tile": (32, 48)},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "compression": "zstd", "metadata": {"axes": "ZYX"}},
    ],
)
def test_a_tiff_is_copied(options: dict[str, Any], tmp_path: Path) -> None:
    volume = noise((5, 100, 90), "uint16")
    value = tiff(volume, photometric="minisblack", **options)
    with bands_of(1000):
        np.testing.assert_array_equal(copied(value, tmp_path), volume)


def test_an_mrc_is_copied(tmp_path: Path) -> None:
    volume = noise((5, 100, 90), "int16")
    np.testing.assert_array_equal(copied(mrc(volume), tmp_path), volume)


def test_of_five_axes_the_chosen_volume_is_copied(tmp_path: Path) -> None:
    array = noise((2, 4, 3, 40, 50), "uint8")
    value = tiff(array, imagej=True, metadata={"axes": "TZCYX"})
    found = copied(value, tmp_path, ImageSource(time=1, channel=2))
    np.testing.assert_array_equal(found, array[1, :, 2])


def test_slices_whose_rows_are_columns_are_turned(tmp_path: Path) -> None:
    volume = noise((3, 70, 130), "uint8")
    value = tiff(volume, photometric="minisblack")
    found = copied(value, tmp_path, ImageSource(axes="ZXY"))
    np.testing.assert_array_equal(found, volume.swapaxes(1, 2))


def test_a_damaged_slice_is_told(tmp_path: Path) -> None:
    volume = noise((5, 100, 90), "uint8")
    value = bytearray(tiff(volume, photometric="minisblack", compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(value))) as file:
        begin = file.pages[3].dataoffsets[0]
    value[begin : begin + 40] = bytes(40)
    with pytest.raises(UnreadableImage, match="slice 3"):
        copied(bytes(value), tmp_path)
