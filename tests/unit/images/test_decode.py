"""Pixels come out of files as they were put in."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from emserve.errors import UnreadableImage
from emserve.jobs import ImageSource
from tests import hostile
from tests.decoded import grey_of
from workers.images.decode import decode

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 255, (70, 50), dtype=np.uint8)
ARRAYS: dict[str, NDArray[Any]] = {
    "bool": GREY > 128,
    "uint8": GREY,
    "uint16": GREY.astype(np.uint16) * 257,
    "int16": GREY.astype(np.int16) * 100 - 12_000,
    "float32": GREY.astype(np.float32) / 7 - 11,
}


def tiff(array: NDArray[Any], **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    file.seek(0)
    return file


def picture(array: NDArray[Any], kind: str) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format=kind)
    return file


def read(file: io.BytesIO, **source: Any) -> NDArray[Any]:
    return grey_of(file, ImageSource(**source))


def same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert found.dtype == expected.dtype
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 16}, {"tile": (32, 16)}])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd", "packbits"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_tiff_gives_back_its_pixels(
    dtype: str, compression: str | None, layout: dict[str, Any], byteorder: str
) -> None:
    options = {
        "compression": compression,
        "byteorder": byteorder,
        "photometric": "minisblack",
        **layout,
    }
    same(read(tiff(ARRAYS[dtype], **options)), ARRAYS[dtype])


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_tiff_of_one_bit_gives_back_its_pixels(byteorder: str) -> None:
    file = tiff(ARRAYS["bool"], byteorder=byteorder, rowsperstrip=16, photometric="minisblack")
    same(read(file), ARRAYS["bool"])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiff_of_one_bit_gives_back_its_pixels(compression: str) -> None:
    file = io.BytesIO()
    Image.fromarray(ARRAYS["bool"]).save(file, format="tiff", compression=compression)
    same(read(file), ARRAYS["bool"])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_predictors_are_undone(dtype: str) -> None:
    same(read(tiff(ARRAYS[dtype], compression="zlib", predictor=True, byteorder=">")), ARRAYS[dtype])


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 16}, {"tile": (32, 16)}])
def test_jpeg_in_tiff_gives_back_nearly_its_pixels(layout: dict[str, Any]) -> None:
    smooth = np.add.outer(np.arange(70), np.arange(50)).astype(np.uint8)
    found = read(tiff(smooth, compression="jpeg", **layout))
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - smooth).max() <= 8


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize(
    "options",
    [
        {"ome": True},
        {"ome": True, "compression": "zlib", "tile": (32, 16)},
        {"imagej": True},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">", "compression": "lzw", "rowsperstrip": 16},
    ],
)
def test_other_tiffs_give_back_their_pixels(options: dict[str, Any], dtype: str) -> None:
    same(read(tiff(ARRAYS[dtype], **options)), ARRAYS[dtype])


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "float32"])
def test_white_is_zero_is_inverted(dtype: str) -> None:
    stored = ARRAYS[dtype]
    expected = -stored if dtype == "float32" else np.invert(stored)
    same(read(tiff(stored, photometric="miniswhite")), expected)


@pytest.mark.parametrize(
    ("axes", "kind"),
    [
        ("CYX", {"ome": True}),
        ("CYX", {"imagej": True}),
        ("CYX", {"compression": "zlib"}),
        ("CYX", {}),
        ("YXC", {}),
        ("YCX", {}),
    ],
)
def test_the_channel_that_is_asked_for_is_taken(axes: str, kind: dict[str, Any]) -> None:
    colours = np.stack([GREY, GREY // 2, GREY // 3], axis=axes.index("C"))
    file = tiff(colours, photometric="minisblack", metadata={"axes": axes}, **kind)
    same(read(file, channel=1), GREY // 2)


def test_samples_of_colour_are_channels() -> None:
    rgb = np.stack([GREY, GREY // 2, GREY // 3], axis=-1)
    same(read(tiff(rgb, photometric="rgb"), channel=2), GREY // 3)
    planes = tiff(np.moveaxis(rgb, -1, 0), photometric="rgb", planarconfig="separate")
    same(read(planes, channel=1), GREY // 2)
    same(read(picture(rgb, "png"), channel=1), GREY // 2)


def test_a_palettes_channel_goes_through_the_palette() -> None:
    table = RANDOM.integers(0, 65536, (3, 256), dtype=np.uint16)
    file = tiff(GREY, photometric="palette", colormap=table)
    same(read(file, channel=1), (table[1][GREY] >> 8).astype(np.uint8))


def test_a_pyramid_gives_its_largest_level() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file, ome=True) as writer:
        writer.write(GREY, subifds=1, metadata={"axes": "YX"})
        writer.write(GREY[::2, ::2], subfiletype=1, metadata=None)
    same(read(file), GREY)


def test_axes_of_the_request_turn_the_image() -> None:
    same(read(tiff(GREY), axes="XY"), GREY.T)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16"])
def test_png_gives_back_its_pixels(dtype: str) -> None:
    same(read(picture(ARRAYS[dtype], "png")), ARRAYS[dtype])


def test_jpeg_gives_its_pixels() -> None:
    file = picture(GREY, "jpeg")
    same(read(file), np.asarray(imagecodecs.jpeg_decode(file.getvalue())))


@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "jpeg", "packbits"])
@pytest.mark.parametrize("layout", [{}, {"tile": (32, 16)}])
def test_damaged_pixels_are_the_files_fault(compression: str, layout: dict[str, Any]) -> None:
    file = tiff(GREY, compression=compression, **layout)
    with tifffile.TiffFile(file) as opened:
        offset, count = opened.pages.first.dataoffsets[0], opened.pages.first.databytecounts[0]
    value = bytearray(file.getvalue())
    value[offset : offset + count] = bytes(count)
    try:
        found = read(io.BytesIO(value))
    except UnreadableImage:
        return
    assert found.shape == GREY.shape
    assert compression in ("lzw", "packbits")  # these have no checksum: zeros may be pixels


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_damaged_png_pixels_are_the_files_fault(place: float) -> None:
    value = bytearray(picture(GREY, "png").getvalue())
    value[int(len(value) * place)] ^= 255
    with pytest.raises(UnreadableImage):
        read(io.BytesIO(value))


def test_jpeg_whose_cut_shows_only_in_its_pixels_is_the_files_fault() -> None:
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, format="jpeg", comment=b"a thumbnail's end: \xff\xd9")
    value = file.getvalue()
    with pytest.raises(UnreadableImage, match="damaged"):
        read(io.BytesIO(value[: len(value) // 2]))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_jpeg_with_a_hole_is_the_files_fault(options: dict[str, Any]) -> None:
    """Its decoder would fill in grey, and says so to nobody who does not ask."""
    with pytest.raises(UnreadableImage, match="damaged"):
        read(io.BytesIO(hostile.jpeg_with_a_hole(**options)))


@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 16}, {"tile": (32, 16)}])
@pytest.mark.parametrize("colours", [1, 3])
def test_a_strip_or_tile_with_a_hole_is_the_files_fault(layout: dict[str, Any], colours: int) -> None:
    whole = GREY if colours == 1 else np.stack([GREY] * 3, axis=-1)
    file = tiff(whole, compression="jpeg", photometric="minisblack" if colours == 1 else "rgb", **layout)
    channel = {} if colours == 1 else {"channel": 1}
    read(io.BytesIO(file.getvalue()), **channel)
    with tifffile.TiffFile(file) as opened:
        offset, count = opened.pages.first.dataoffsets[-1], opened.pages.first.databytecounts[-1]
    value = bytearray(file.getvalue())
    hole = slice(offset + count // 2, offset + count - 2)
    value[hole] = bytes(hole.stop - hole.start)
    with pytest.raises(UnreadableImage, match="damaged"):
        read(io.BytesIO(value), **channel)


def test_the_array_file_is_plain(tmp_path: Path) -> None:
    out = tmp_path / "grey.npy"
    decoded = decode(tiff(ARRAYS["uint16"], byteorder=">"), ImageSource(axes="XY"), out)
    assert (decoded.path, decoded.shape, decoded.dtype) == (out, [50, 70], "uint16")
    array = np.load(out, mmap_mode="r")
    assert array.flags.c_contiguous
    same(array, ARRAYS["uint16"].T)


def test_png_of_four_bits_uses_the_whole_range() -> None:
    header = struct.pack(">IIBBBBB", 4, 1, 4, 0, 0, 0, 0)
    pixels = zlib.compress(bytes([0, 0x05, 0xAF]))
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    value = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    same(read(io.BytesIO(value)), np.array([[0, 85, 170, 255]], np.uint8))
