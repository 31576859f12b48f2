"""MRC files give their pixels, their pixel size, or a reason."""

import io
import struct
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import obstore
import pytest
from numpy.typing import NDArray
from obstore.store import MemoryStore

from emserve.errors import (
    EmserveError,
    ImageTooLarge,
    InvalidRequest,
    UnreadableImage,
    UnsuitableImage,
    UnsupportedMediaType,
)
from emserve.jobs import ImageHeader, ImageSource
from tests.decoded import grey_of
from tests.mrcs import IMOD, MrcOptions, mrc
from workers.images.grey import Limits
from workers.images.headers import inspect
from workers.images.stored_file import open_stored

GREY = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
SIGNED = (GREY.astype(np.int16) - 128).astype(np.int8)
PLAIN = MrcOptions()


def look(value: bytes, max_pixels: int = 10**9, **source: Any) -> ImageHeader:
    return inspect(io.BytesIO(value), ImageSource(**source), Limits(max_pixels, 10**12))


def read(value: bytes, **source: Any) -> NDArray[Any]:
    return grey_of(io.BytesIO(value), ImageSource(**source))


def refusal(kind: type[EmserveError], value: bytes, **source: Any) -> str:
    with pytest.raises(kind) as caught:
        look(value, **source)
    assert type(caught.value) is kind
    return str(caught.value)


def same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert found.dtype == expected.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected)


def with_word(value: bytes, place: int, number: int) -> bytes:
    """`value` with another integer at a place of its header."""
    changed = bytearray(value)
    struct.pack_into("<i", changed, place, number)
    return bytes(changed)


# ---- pixels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32"])
def test_numbers_come_out_as_they_were_put_in(dtype: str, order: Literal["<", ">"]) -> None:
    pixels = (GREY.astype(np.float32) * 100 - (0 if dtype == "uint16" else 7000)).astype(dtype)
    value = mrc(pixels, replace(PLAIN, order=order))
    header = look(value)
    assert (header.format, header.shape, header.axes, header.dtype) == ("mrc", [40, 50], "YX", dtype)
    same(read(value), pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_half_floats_are_taken_as_floats(order: Literal["<", ">"]) -> None:
    pixels = (GREY / 7).astype(np.float16)
    same(read(mrc(pixels, replace(PLAIN, order=order))), pixels.astype(np.float32))


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_are_signed_as_the_standard_says(order: Literal["<", ">"]) -> None:
    same(read(mrc(SIGNED, replace(PLAIN, order=order))), GREY)


@pytest.mark.parametrize("order", ["<", ">"])
def test_imods_stamp_decides_whether_bytes_are_signed(order: Literal["<", ">"]) -> None:
    same(read(mrc(SIGNED, replace(PLAIN, order=order, imod=(IMOD, 1), largest=255))), GREY)
    same(read(mrc(GREY, replace(PLAIN, order=order, imod=(IMOD, 4)))), GREY)


def test_bytes_whose_header_names_a_value_past_127_have_no_sign() -> None:
    same(read(mrc(GREY, replace(PLAIN, largest=255.0))), GREY)
    same(read(mrc(SIGNED, replace(PLAIN, largest=127.0))), GREY)
    same(read(mrc(SIGNED, replace(PLAIN, largest=np.nan))), GREY)


def test_the_extended_header_is_skipped() -> None:
    same(read(mrc(SIGNED, replace(PLAIN, extended=b"FEI1" * 300))), GREY)


def test_large_planes_are_read_by_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.images.raw.BAND_BYTES", 333)
    same(read(mrc(SIGNED)), GREY)


def test_a_plane_is_read_by_ranges_of_the_storage() -> None:
    store, pixels = MemoryStore(), np.arange(3_000_000, dtype=np.float32).reshape(2000, 1500)
    obstore.put(store, "key", mrc(pixels, replace(PLAIN, order=">")))
    with open_stored(store, "key") as file:
        same(grey_of(file, ImageSource()), pixels)


def test_axes_of_the_request_turn_the_image() -> None:
    same(read(mrc(SIGNED), axes="XY"), GREY.T)


@pytest.mark.parametrize("options", [replace(PLAIN, magic=b"MAP\0"), replace(PLAIN, stamp=b"\x44\x41\0\0")])
def test_habits_of_other_programs_are_understood(options: MrcOptions) -> None:
    same(read(mrc(SIGNED, options)), GREY)


def test_bytes_behind_the_pixels_do_not_matter() -> None:
    same(read(mrc(SIGNED) + b"end"), GREY)


# ---- pixel size -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_pixel_size_is_the_cells(order: Literal["<", ">"]) -> None:
    header = look(mrc(SIGNED, replace(PLAIN, order=order, cell_angstrom=(50 * 80.0, 40 * 46.0, 1.0))))
    assert header.pixel_size_nm == pytest.approx([4.6, 8.0])
    assert header.pixel_size_source == "file"


@pytest.mark.parametrize(
    "cell", [(0, 0, 0), (-500, 400, 1), (np.nan, 400, 1), (np.inf, 400, 1), (500, 0, 1), (50, 40, 1)]
)
def test_a_cell_that_says_nothing_gives_no_pixel_size(cell: tuple[float, float, float]) -> None:
    assert look(mrc(SIGNED, replace(PLAIN, cell_angstrom=cell))).pixel_size_nm is None


def test_a_cell_without_intervals_gives_no_pixel_size() -> None:
    value = mrc(SIGNED, replace(PLAIN, cell_angstrom=(500, 400, 1)))
    assert look(with_word(value, 28, 0)).pixel_size_nm is None


# ---- what is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("size_bytes", [216, 500, 1023, 1024, 1030, 1124, 1124 + 1999])
def test_a_file_that_was_cut_off_is_unreadable(size_bytes: int) -> None:
    whole = mrc(SIGNED, replace(PLAIN, extended=bytes(100)))
    assert "cut off" in refusal(UnreadableImage, whole[:size_bytes])


def test_a_file_cut_off_before_its_magic_is_no_mrc() -> None:
    assert "MRC" in refusal(UnsupportedMediaType, mrc(SIGNED)[:210])


@pytest.mark.parametrize(("place", "number"), [(0, 0), (0, -50), (4, 0), (8, 0), (8, -1), (92, -4)])
def test_sizes_that_cannot_be_are_unreadable(place: int, number: int) -> None:
    assert str(number) in refusal(UnreadableImage, with_word(mrc(SIGNED), place, number))


@pytest.mark.parametrize("place", [0, 4, 92])
def test_a_header_that_speaks_of_more_than_the_file_has_is_unreadable(place: int) -> None:
    assert "cut off" in refusal(UnreadableImage, with_word(mrc(SIGNED), place, 2**31 - 1))


def test_an_unknown_byte_order_is_unreadable() -> None:
    assert "12 34 00 00" in refusal(UnreadableImage, mrc(SIGNED, replace(PLAIN, stamp=b"\x12\x34\0\0")))


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        (3, "complex int16"),
        (4, "complex float32"),
        (16, "colours"),
        (101, "4 bits"),
        (5, "mode 5"),
        (-1, "-1"),
    ],
)
def test_other_modes_are_refused_by_name(mode: int, name: str) -> None:
    message = refusal(UnsuitableImage, with_word(mrc(SIGNED), 12, mode))
    assert name in message
    assert "12 (float16)" in message


def test_more_pixels_than_allowed_are_refused() -> None:
    with pytest.raises(ImageTooLarge, match="2000 pixels"):
        look(mrc(SIGNED), max_pixels=1999)


STACK = np.stack([SIGNED, SIGNED + 1, SIGNED - 1])


def test_a_stack_is_a_volume_of_voxels_of_the_cells_size() -> None:
    header = look(mrc(STACK, MrcOptions(cell_angstrom=(500, 800, 90))))
    assert (header.shape, header.axes) == ([3, 40, 50], "ZYX")
    assert header.pixel_size_nm == pytest.approx([3, 2, 1])


def test_a_stack_that_was_cut_off_is_unreadable() -> None:
    assert "cut off" in refusal(UnreadableImage, mrc(STACK)[:-1])


@pytest.mark.parametrize("axes", ["CYX", "YXC", "YCX", "CXY"])
def test_sections_that_are_channels_are_taken_when_the_caller_says_so(axes: str) -> None:
    pixels = np.moveaxis(STACK, 0, axes.index("C"))
    expected = (STACK[2].view(np.uint8) ^ 128).astype(np.uint8)
    if axes.index("X") < axes.index("Y"):
        expected = expected.T
    same(read(mrc(np.ascontiguousarray(pixels)), axes=axes, channel=2), expected)


def test_axes_that_do_not_fit_are_refused() -> None:
    assert "40 x 50" in refusal(InvalidRequest, mrc(SIGNED), axes="CYX")


# ---- damage -----------------------------------------------------------------------------------------


def test_damaged_headers_raise_only_users_errors() -> None:
    random = np.random.default_rng(2)
    little = MrcOptions(order="<", extended=bytes(64))
    wholes = mrc(SIGNED, little), mrc(SIGNED, replace(little, order=">"))
    telling = np.r_[0:16, 28:52, 64:96, 152:160, 208:216]
    for number in range(500):
        value = bytearray(wholes[number % 2])
        for place in random.choice(telling, random.integers(1, 6)):
            value[place] = random.integers(0, 256)
        damaged = bytes(value[: random.integers(0, len(value) + 1)]) if number % 5 == 0 else bytes(value)
        try:
            header = look(damaged, max_pixels=10**6)
        except (UnreadableImage, UnsuitableImage, UnsupportedMediaType, ImageTooLarge):
            continue
        assert list(read(damaged).shape) == header.shape


def test_noise_behind_a_magic_is_always_a_users_error() -> None:
    random = np.random.default_rng(3)
    for _ in range(200):
        noise = bytearray(random.integers(0, 256, 2000, dtype=np.uint8).tobytes())
        noise[208:214] = b"MAP \x44\x44"
        with pytest.raises((UnreadableImage, UnsuitableImage)):
            look(bytes(noise))
