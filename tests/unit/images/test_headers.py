"""What a file's header says, and every reason to refuse it."""

import contextlib
import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from emserve.errors import (
    EmserveError,
    ImageTooLarge,
    InvalidRequest,
    TooManyPages,
    UnreadableImage,
    UnsuitableImage,
    UnsupportedMediaType,
    VolumeTooLarge,
)
from emserve.jobs import ImageHeader, ImageSource
from tests import hostile
from workers.evaluation.overlaps import UnusableLabels
from workers.evaluation.stored_array import open_array
from workers.images.grey import Limits
from workers.images.headers import inspect

_MAX_PAGES = 10_000
GREY = np.random.default_rng(0).integers(0, 255, (40, 50), dtype=np.uint8)


def tiff(array: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


def picture(array: NDArray[Any], kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format=kind, **options)
    return file.getvalue()


def look(value: bytes | BinaryIO, max_pixels: int = 10**9, **source: Any) -> ImageHeader:
    file = io.BytesIO(value) if isinstance(value, bytes) else value
    return inspect(file, ImageSource(**source), Limits(max_pixels, 10**12), _MAX_PAGES)


def refusal(kind: type[EmserveError], value: bytes | BinaryIO, **source: Any) -> str:
    with pytest.raises(kind) as caught:
        look(value, **source)
    assert type(caught.value) is kind
    return str(caught.value)


# ---- what kind of file ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bigtiff": True},
        {"byteorder": ">"},
        {"bigtiff": True, "byteorder": ">"},
        {"imagej": True},
        {"ome": True},
    ],
)
def test_every_kind_of_tiff_is_read(options: dict[str, Any]) -> None:
    header = look(tiff(GREY, **options))
    assert (header.format, header.shape, header.axes, header.dtype) == ("tiff", [40, 50], "YX", "uint8")
    assert header.pixel_size_nm is None
    assert header.pixel_size_source is None


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_png_and_jpeg_are_read(kind: str) -> None:
    header = look(picture(GREY, kind, dpi=(300, 300)))
    assert (header.format, header.shape, header.dtype, header.pixel_size_nm) == (
        kind,
        [40, 50],
        "uint8",
        None,
    )


@pytest.mark.parametrize(
    "value", [b"hello, this is text", b"GIF89a..........", b"\x89PN", b"II", b"\0" * 4096]
)
def test_anything_else_is_not_accepted(value: bytes) -> None:
    assert "TIFF" in refusal(UnsupportedMediaType, value)


# ---- damage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"tile": (16, 16)}, {"compression": "zlib"}, {"bigtiff": True}, {"ome": True}]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_tiff_is_unreadable(options: dict[str, Any], share: float) -> None:
    whole = tiff(GREY, **options)
    refusal(UnreadableImage, whole[: int(len(whole) * share)])


def test_tiff_that_lacks_its_last_byte_is_unreadable() -> None:
    # tifffile pads to an even length, so the image takes an even number of bytes
    assert "cut off" in refusal(UnreadableImage, tiff(GREY)[:-1])


def test_tiff_whose_directory_is_cut_off_is_unreadable() -> None:
    value = bytearray(tiff(GREY))
    struct.pack_into("<I", value, 4, len(value) + 1000)
    assert "cut off" in refusal(UnreadableImage, bytes(value))


def test_tiff_with_pages_in_a_circle_is_unreadable() -> None:
    value = bytearray(tiff(GREY))
    (first,) = struct.unpack_from("<I", value, 4)
    (entries,) = struct.unpack_from("<H", value, first)
    struct.pack_into("<I", value, first + 2 + 12 * entries, first)
    assert "circle" in refusal(UnreadableImage, bytes(value))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_png_is_unreadable(share: float) -> None:
    whole = picture(GREY, "png")
    assert "IEND" in refusal(UnreadableImage, whole[: int(len(whole) * share)])


def test_png_with_a_damaged_header_is_unreadable() -> None:
    value = bytearray(picture(GREY, "png"))
    value[18] ^= 1
    assert "checksum" in refusal(UnreadableImage, bytes(value))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_jpeg_is_unreadable(share: float) -> None:
    whole = picture(GREY, "jpeg")
    assert "EOI" in refusal(UnreadableImage, whole[: int(len(whole) * share)])


def test_noise_after_a_magic_number_is_always_a_users_error() -> None:
    random = np.random.default_rng(1)
    magics = [
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff",
    ]
    for magic in magics:
        for _ in range(40):
            noise = random.integers(0, 256, 600, dtype=np.uint8).tobytes()
            with pytest.raises((UnreadableImage, UnsuitableImage)):
                look(magic + noise)


def test_flipped_bytes_in_a_tiffs_directory_raise_only_users_errors() -> None:
    random = np.random.default_rng(2)
    whole = tiff(GREY, ome=True, tile=(16, 16), compression="zlib")
    for _ in range(300):
        value = bytearray(whole)
        for place in random.integers(4, 600, 3):
            value[place] = random.integers(0, 256)
        try:
            look(bytes(value), max_pixels=10**6)
        except (UnreadableImage, UnsuitableImage, ImageTooLarge):
            continue


# ---- size -------------------------------------------------------------------------------------------


def test_more_pixels_than_allowed_are_refused() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        look(tiff(GREY), max_pixels=1999)
    assert (caught.value.given, caught.value.limit) == (2000, 1999)
    assert look(tiff(GREY), max_pixels=2000).shape == [40, 50]


def test_a_bomb_is_refused_by_its_header_alone() -> None:
    strip = zlib.compress(bytes(100 * 60_000))
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        iter([strip] * 200),
        shape=(20_000, 60_000),
        dtype=np.uint8,
        rowsperstrip=100,
        compression="zlib",
    )
    assert len(file.getvalue()) < 2_000_000
    with pytest.raises(ImageTooLarge, match="1200000000 pixels"):
        look(file.getvalue(), max_pixels=10**9)


def test_tiles_far_larger_than_the_image_are_refused() -> None:
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        iter([zlib.compress(b"")]),
        shape=(64, 64),
        dtype=np.uint8,
        tile=(32768, 32768),
        compression="zlib",
    )
    assert "tiles" in refusal(UnreadableImage, file.getvalue())


# ---- data types and compressions --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "float32"])
def test_data_types_that_are_taken(dtype: str) -> None:
    assert look(tiff(GREY.astype(dtype))).dtype == dtype


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int32", "uint64", "float16", "float64", "complex64"])
def test_other_data_types_are_refused_by_name(dtype: str) -> None:
    message = refusal(UnsuitableImage, tiff(GREY.astype(dtype)))
    assert dtype in message
    assert "int16" in message


def test_integers_of_odd_bits_are_refused_by_name() -> None:
    value = tiff(GREY.astype(np.uint16) & 4095, bitspersample=12)
    assert "uint12" in refusal(UnsuitableImage, value)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "jpeg", "packbits"])
def test_compressions_that_are_taken(compression: str | None) -> None:
    assert look(tiff(GREY, compression=compression)).shape == [40, 50]


@pytest.mark.parametrize("compression", ["lzma", "lerc", "png"])
def test_other_compressions_are_refused_by_name(compression: str) -> None:
    message = refusal(UnsuitableImage, tiff(GREY, compression=compression))
    assert compression in message.lower()
    assert "LZW" in message


# ---- colour -----------------------------------------------------------------------------------------

RGB = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)
COLOURED: dict[str, Callable[[], bytes]] = {
    "tiff": lambda: tiff(RGB, photometric="rgb"),
    "planes": lambda: tiff(np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"),
    "ome": lambda: tiff(
        np.moveaxis(RGB, -1, 0), ome=True, photometric="minisblack", metadata={"axes": "CYX"}
    ),
    "imagej": lambda: tiff(np.moveaxis(RGB, -1, 0), imagej=True, metadata={"axes": "CYX"}),
    "png": lambda: picture(RGB, "png"),
    "jpeg": lambda: picture(RGB, "jpeg"),
    "palette": lambda: tiff(GREY, photometric="palette", colormap=np.zeros((3, 256), np.uint16)),
}


@pytest.mark.parametrize("kind", COLOURED)
def test_colour_needs_a_channel(kind: str) -> None:
    value = COLOURED[kind]()
    with pytest.raises(UnsuitableImage, match="3 channels") as caught:
        look(value)
    assert [each.pointer for each in caught.value.errors] == ["/params/channel"]
    assert '"channel": 0' in str(caught.value)
    header = look(value, channel=2)
    assert (header.shape, header.channel) == ([40, 50], 2)
    with pytest.raises(InvalidRequest, match="choose 0 to 2") as out:
        look(value, channel=3)
    assert [each.pointer for each in out.value.errors] == ["/params/channel"]


def test_channel_zero_of_a_grey_image_is_the_image() -> None:
    assert look(tiff(GREY), channel=0).channel is None
    refusal(InvalidRequest, tiff(GREY), channel=1)


def test_palette_png_and_alpha_count_as_channels() -> None:
    file = io.BytesIO()
    Image.fromarray(RGB).quantize(16).save(file, format="png")
    assert "3 channels" in refusal(UnsuitableImage, file.getvalue())
    alpha = np.stack([GREY, GREY], axis=-1)
    assert "2 channels" in refusal(UnsuitableImage, picture(alpha, "png"))


# ---- stacks and axes --------------------------------------------------------------------------------

STACK = np.stack([GREY] * 4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metadata": None},
        {"bigtiff": True},
        {"compression": "zlib", "rowsperstrip": 7},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
    ],
)
def test_a_stack_is_a_volume(options: dict[str, Any]) -> None:
    header = look(tiff(STACK, photometric="minisblack", **options))
    assert (header.shape, header.axes) == ([4, 40, 50], "ZYX")
    named = "metadata" in options and options["metadata"] is not None
    assert [each.code for each in header.warnings] == ([] if named else ["axes-assumed"])


def large_imagej_stack(images: int) -> bytes:
    """As ImageJ writes stacks of many gigabytes: one page, whose note says how many planes follow."""
    note = f"ImageJ=1.54f\nimages={images}\nslices={images}\nunit=nm\nspacing=30.0\n"
    first = tiff(STACK[0], photometric="minisblack", description=note, metadata=None, byteorder=">")
    return first + STACK[1:].tobytes()


def test_a_stack_cut_off_behind_its_only_page_is_refused(tmp_path: Path) -> None:
    whole = large_imagej_stack(4)
    assert look(whole).shape == [4, 40, 50]
    for value in (whole[:-1], whole[: -3 * STACK[0].size], large_imagej_stack(10**9)):
        message = refusal(UnreadableImage, value)
        assert "cut off" in message
        assert "the file holds 1" in message
    (tmp_path / "labels.tif").write_bytes(whole[:-1])
    with pytest.raises(UnusableLabels, match="cut off"), open_array(tmp_path / "labels.tif"):
        pass


def test_a_stack_of_one_slice_is_an_image() -> None:
    header = look(tiff(STACK[:1], ome=True, metadata={"axes": "ZYX"}))
    assert (header.shape, header.axes, header.warnings) == ([40, 50], "YX", [])


@pytest.mark.parametrize(("axes", "name"), [("TYX", "time"), ("CYX", "channel")])
def test_of_times_and_channels_one_has_to_be_chosen(axes: str, name: str) -> None:
    value = tiff(STACK, photometric="minisblack", ome=True, metadata={"axes": axes})
    message = refusal(UnsuitableImage, value)
    assert f"4 {name}s" in message
    assert f'{{"{name}": 0}}' in message
    assert look(value, **{name: 3}).shape == [40, 50]
    assert "choose 0 to 3" in refusal(InvalidRequest, value, **{name: 4})


def test_of_five_axes_a_volume_is_chosen_by_time_and_channel() -> None:
    value = tiff(np.zeros((2, 3, 4, 40, 50), np.uint8), ome=True, metadata={"axes": "TCZYX"})
    assert "3 channels" in refusal(UnsuitableImage, value)
    assert "2 times" in refusal(UnsuitableImage, value, channel=1)
    header = look(value, channel=1, time=0)
    assert (header.shape, header.axes, header.channel, header.time) == ([4, 40, 50], "ZYX", 1, 0)


def test_two_axes_without_a_name_are_refused_with_the_choices() -> None:
    value = tiff(np.zeros((2, 3, 40, 50), np.uint8), photometric="minisblack")
    message = refusal(UnsuitableImage, value)
    assert "2 x 3 x 40 x 50" in message
    assert "T for times" in message
    assert look(value, axes="TZYX", time=1).shape == [3, 40, 50]


@pytest.mark.parametrize("axes", ["YXZ", "YZX"])
def test_slices_that_do_not_lie_one_after_the_other_are_refused(axes: str) -> None:
    assert "ZYX" in refusal(UnsuitableImage, tiff(STACK, photometric="minisblack"), axes=axes)


def test_slices_of_unequal_size_or_data_type_are_refused_by_their_size() -> None:
    for odd in (STACK[0, :30], STACK[0].astype(np.uint16)):
        file = io.BytesIO()
        with tifffile.TiffWriter(file) as writer:
            for page in (STACK[0], STACK[1], odd):
                writer.write(page, metadata=None)
        message = refusal(UnsuitableImage, file.getvalue())
        assert f"{odd.shape[0]} x 50 {odd.dtype}" in message


def test_a_plane_that_the_file_lacks_is_named() -> None:
    value = tiff(STACK, photometric="minisblack", ome=True, metadata={"axes": "ZYX"})
    whole = tifffile.TiffFile(io.BytesIO(value)).ome_metadata or ""
    more = value.replace(whole.encode(), whole.replace('SizeZ="4"', 'SizeZ="6"').encode())
    assert len(more) == len(value)
    assert "4, 5" in refusal(UnreadableImage, more)


def test_several_slices_packed_into_a_page_are_refused() -> None:
    value = tiff(STACK, photometric="minisblack", volumetric=True, tile=(2, 16, 16), compression="zlib")
    assert "a page for each slice" in refusal(UnsuitableImage, value)


def test_the_size_of_voxels_comes_from_the_file() -> None:
    sizes = {"PhysicalSizeZ": 0.03, "PhysicalSizeY": 0.004, "PhysicalSizeX": 0.005}
    ome = tiff(STACK, photometric="minisblack", ome=True, metadata={"axes": "ZYX", **sizes})
    assert look(ome).pixel_size_nm == pytest.approx([30, 4, 5])
    imagej = {"axes": "ZYX", "spacing": 30.0, "unit": "nm"}
    value = tiff(STACK, photometric="minisblack", imagej=True, resolution=(1 / 5, 1 / 4), metadata=imagej)
    assert look(value).pixel_size_nm == pytest.approx([30, 4, 5], rel=1e-4)


def test_without_a_distance_of_slices_the_size_of_voxels_is_unknown_and_that_is_said() -> None:
    sizes = {"PhysicalSizeY": 0.004, "PhysicalSizeX": 0.005}
    header = look(tiff(STACK, photometric="minisblack", ome=True, metadata={"axes": "ZYX", **sizes}))
    assert (header.pixel_size_nm, header.pixel_size_source) == (None, None)
    assert [each.code for each in header.warnings] == ["slice-distance-unknown"]


@pytest.mark.parametrize(("image", "size"), [(GREY, [4.0, 4.0, 4.0]), (STACK, [4.0, 4.0])])
def test_a_pixel_size_of_too_many_or_too_few_values_is_refused(image: Any, size: list[float]) -> None:
    message = refusal(InvalidRequest, tiff(image, photometric="minisblack"), pixel_size_nm=size)
    assert f"has {len(size)} values and needs {image.ndim}" in message


def test_a_volume_over_the_limit_is_refused_by_its_voxels() -> None:
    value = tiff(STACK, photometric="minisblack")
    with pytest.raises(VolumeTooLarge) as caught:
        inspect(io.BytesIO(value), ImageSource(), Limits(max_pixels=2000, max_voxels=7999))
    assert (caught.value.given, caught.value.limit) == (8000, 7999)
    with pytest.raises(ImageTooLarge):
        inspect(io.BytesIO(value), ImageSource(), Limits(max_pixels=1999, max_voxels=8000))


def test_axes_of_the_request_win() -> None:
    value = tiff(STACK, photometric="minisblack")
    assert look(value, axes="CYX", channel=3).shape == [40, 50]
    assert look(tiff(GREY), axes="XY").shape == [50, 40]


@pytest.mark.parametrize("axes", ["CYX", "YY", "CS"])
def test_axes_that_do_not_fit_are_refused(axes: str) -> None:
    message = refusal(InvalidRequest, tiff(GREY), axes=axes)
    assert "40 x 50" in message
    assert axes in message


def test_a_pyramid_is_one_image() -> None:
    for metadata in ({"axes": "YX"}, None):
        file = io.BytesIO()
        with tifffile.TiffWriter(file, ome=metadata is not None) as writer:
            writer.write(GREY, subifds=1, metadata=metadata)
            writer.write(GREY[::2, ::2], subfiletype=1, metadata=None)
        assert look(file.getvalue()).shape == [40, 50]


def test_a_thumbnail_behind_the_image_is_left_out() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[:7, :9], subfiletype=1, metadata=None)
    assert look(file.getvalue()).shape == [40, 50]


def test_several_images_of_different_sizes_are_refused() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(GREY, metadata=None)
        writer.write(GREY[:30, :31], metadata=None)
    assert "2 images" in refusal(UnsuitableImage, file.getvalue())


def test_too_many_pages_are_refused() -> None:
    pages = [struct.pack("<HI", 0, 8 + 6 * (number + 1)) for number in range(_MAX_PAGES + 1)]
    value = b"II*\0\x08\0\0\0" + b"".join(pages) + bytes(6)
    assert "EMSERVE_MAX_PAGES" in refusal(TooManyPages, value)


@pytest.mark.parametrize(
    "name",
    [
        "tiff of many unlike pages",
        "tiff of many pages with one odd",
        "tiff of pages that overlap",
        "tiff of a million pages",
        "tiff with a page of 65535 tags",
        "tiff of many tags with large values",
    ],
)
def test_no_structure_takes_long_to_judge(name: str) -> None:
    value = hostile.FILES[name]()
    begun = time.process_time()
    with contextlib.suppress(UnreadableImage, UnsuitableImage, TooManyPages):
        look(value)
    assert time.process_time() - begun < 2


def test_many_alike_pages_are_a_stack() -> None:
    stack = hostile.tiff_of([hostile.page()] * 500)
    assert look(stack).shape == [500, hostile.SIDE, hostile.SIDE]
    assert look(stack, axes="CYX", channel=499).shape == [hostile.SIDE, hostile.SIDE]


@pytest.mark.parametrize("sides", [{hostile.WIDTH: None}, {hostile.HEIGHT: hostile.Tag(hostile.SHORT, 1, 0)}])
def test_an_image_without_pixels_is_unreadable(sides: hostile.Change) -> None:
    assert "save the image again" in refusal(UnreadableImage, hostile.changed(sides))


# ---- pixel size -------------------------------------------------------------------------------------

SIZES: list[tuple[dict[str, Any], list[float] | None]] = [
    (
        {
            "ome": True,
            "metadata": {
                "PhysicalSizeY": 4.6,
                "PhysicalSizeYUnit": "nm",
                "PhysicalSizeX": 5,
                "PhysicalSizeXUnit": "nm",
            },
        },
        [4.6, 5.0],
    ),
    ({"ome": True, "metadata": {"PhysicalSizeY": 0.0046, "PhysicalSizeX": 0.005}}, [4.6, 5.0]),
    (
        {
            "ome": True,
            "metadata": {
                "PhysicalSizeY": 46,
                "PhysicalSizeYUnit": "Å",
                "PhysicalSizeX": 50,
                "PhysicalSizeXUnit": "Å",
            },
        },
        [4.6, 5.0],
    ),
    ({"ome": True, "metadata": {"PhysicalSizeX": 5}}, None),
    ({"ome": True, "metadata": {"PhysicalSizeY": 1e-9, "PhysicalSizeX": 1e-9}}, None),
    ({"ome": True, "metadata": {"PhysicalSizeY": 2, "PhysicalSizeYUnit": "m", "PhysicalSizeX": 2}}, None),
    ({"ome": True, "metadata": {"PhysicalSizeY": 0, "PhysicalSizeX": 5}}, None),
    ({"imagej": True, "resolution": (0.2, 0.25), "metadata": {"unit": "nm"}}, [4.0, 5.0]),
    ({"imagej": True, "resolution": (200, 250), "metadata": {"unit": "um"}}, [4.0, 5.0]),
    ({"imagej": True, "resolution": (200, 250), "metadata": {"unit": "micron"}}, [4.0, 5.0]),
    ({"imagej": True, "resolution": (200, 250), "metadata": {"unit": "\\u00B5m"}}, [4.0, 5.0]),
    ({"imagej": True, "resolution": (1, 1), "metadata": {"unit": "pixel"}}, None),
    ({"resolution": (2e6, 2.5e6), "resolutionunit": "CENTIMETER"}, [4.0, 5.0]),
    ({"resolution": (5.08e6, 6.35e6), "resolutionunit": "INCH"}, [4.0, 5.0]),
    ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
    ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
    ({"resolution": (118.11, 118.11), "resolutionunit": "CENTIMETER"}, None),
    ({"resolution": (1, 1), "resolutionunit": "NONE"}, None),
    ({"resolution": (2e6, 2.5e6), "resolutionunit": "NONE"}, None),
]


@pytest.mark.parametrize(("options", "expected"), SIZES)
def test_pixel_size_comes_from_the_file(options: dict[str, Any], expected: list[float] | None) -> None:
    header = look(tiff(GREY, **options))
    assert header.pixel_size_nm == (pytest.approx(expected, rel=1e-4) if expected else None)
    assert header.pixel_size_source == ("file" if expected else None)


def test_pixel_size_of_the_request_wins() -> None:
    value = tiff(GREY, resolution=(2e6, 2.5e6), resolutionunit="CENTIMETER")
    header = look(value, pixel_size_nm=[7.0, 8.0])
    assert (header.pixel_size_nm, header.pixel_size_source) == ([7.0, 8.0], "request")


def test_pixel_size_follows_axes_that_the_request_swaps() -> None:
    value = tiff(GREY, resolution=(2e6, 2.5e6), resolutionunit="CENTIMETER")
    assert look(value, axes="XY").pixel_size_nm == pytest.approx([5.0, 4.0])
