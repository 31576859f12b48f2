"""Band by band, files give what decoding them whole gives."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from emserve.errors import UnreadableImage
from emserve.jobs import ImageSource
from tests.decoded import grey_of
from tests.mrcs import MrcOptions, mrc
from tests.smaller_bands import bands_of

SIDES = st.integers(1, 90)
BAND_BYTES = st.sampled_from([1, 100, 1000, 1 << 24])
LAYOUTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.integers(1, 40).map(lambda rows: {"rowsperstrip": rows}),
    st.sampled_from([16, 32, 48]).map(lambda side: {"tile": (side, 32)}),
)
PNG_BITS = {0: (1, 2, 4, 8, 16), 2: (8,), 3: (1, 2, 4, 8), 4: (8,), 6: (8,)}
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
GREY = np.random.default_rng(0).integers(0, 256, (70, 50), dtype=np.uint8)


def values(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Noise on a ramp, so that every bit is used and rows differ."""
    noise = np.random.default_rng(shape).integers(0, 1 << 16, shape, dtype=np.uint16)
    return noise > 1 << 15 if dtype == "bool" else noise.view(np.int16).astype(dtype)


def same(found: NDArray[Any], expected: NDArray[Any]) -> None:
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)


@given(
    shape=st.tuples(SIDES, SIDES),
    dtype=st.sampled_from(["bool", "uint8", "uint16", "int16", "float32"]),
    layout=LAYOUTS,
    options=st.fixed_dictionaries(
        {
            "byteorder": st.sampled_from("<>"),
            "compression": st.sampled_from([None, "lzw", "zlib", "zstd", "packbits"]),
            "bigtiff": st.booleans(),
        }
    ),
    predictor=st.booleans(),
    axes=st.sampled_from(["YX", "XY"]),
    size_bytes=BAND_BYTES,
)
@settings(max_examples=100, deadline=None)
def test_tiffs(
    shape: tuple[int, int],
    dtype: str,
    layout: dict[str, Any],
    options: dict[str, Any],
    predictor: bool,
    axes: str,
    size_bytes: int,
) -> None:
    if dtype == "bool":
        layout, predictor = {} if "tile" in layout else layout, False
        options = {**options, "compression": None}  # what tifffile writes
    if predictor and options["compression"]:
        options = {**options, "predictor": True}
    file, array = io.BytesIO(), values(shape, dtype)
    tifffile.imwrite(file, array, photometric="minisblack", metadata=None, **layout, **options)
    with bands_of(size_bytes):
        found = grey_of(file, ImageSource(axes=axes))
    same(found, array if axes == "YX" else array.T)


@given(
    shape=st.tuples(st.integers(2, 90), st.integers(5, 90)),
    planes=st.sampled_from(["contig", "separate"]),
    compression=st.sampled_from([None, "lzw", "zlib", "jpeg"]),
    layout=LAYOUTS,
    channel=st.integers(0, 2),
    size_bytes=BAND_BYTES,
)
@settings(max_examples=80, deadline=None)
def test_colours_of_tiffs(
    shape: tuple[int, int],
    planes: Any,  # tifffile's own literals
    compression: str | None,
    layout: dict[str, Any],
    channel: int,
    size_bytes: int,
) -> None:
    sides = (*shape, 3) if planes == "contig" else (3, *shape)
    if compression == "jpeg" and "rowsperstrip" in layout:
        layout = {"rowsperstrip": -(-layout["rowsperstrip"] // 8) * 8}  # what JPEG asks for
    file = io.BytesIO()
    options: dict[str, Any] = {"compression": compression, "planarconfig": planes, **layout}
    tifffile.imwrite(file, values(sides, "uint8"), photometric="rgb", metadata=None, **options)
    whole = tifffile.imread(io.BytesIO(file.getvalue()))
    with bands_of(size_bytes):
        found = grey_of(file, ImageSource(channel=channel))
    same(found, whole[..., channel] if planes == "contig" else whole[channel])


@pytest.mark.parametrize("axes", ["CYX", "YXC", "YCX", "XYC", "CXY", "XCY"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", [{}, {"ome": True}, {"imagej": True}, {"tile": (16, 16)}])
@pytest.mark.parametrize("size_bytes", [1, 1 << 24])
def test_any_order_of_axes(axes: str, compression: str | None, kind: dict[str, Any], size_bytes: int) -> None:
    colours = np.stack([GREY, GREY // 2, GREY // 3])
    array = colours.transpose(["CYX".index(axis) for axis in axes])
    file = io.BytesIO()
    if not (compression and "imagej" in kind):
        kind = {"compression": compression, **kind}
    tifffile.imwrite(file, array, photometric="minisblack", **kind)
    with bands_of(size_bytes):
        same(grey_of(file, ImageSource(axes=axes, channel=1)), GREY // 2)


@pytest.mark.parametrize(
    "code", [(266, 2), (274, 6), (317, 2)], ids=["fill order", "orientation", "predictor"]
)
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 16}, {"tile": (32, 16)}])
def test_tags_that_change_what_bytes_mean(code: tuple[int, int], layout: dict[str, Any]) -> None:
    unknown = (65000, "H", 1, code[1], True)
    file = io.BytesIO()
    tifffile.imwrite(file, GREY, extratags=[unknown], metadata=None, **layout)
    value = file.getvalue()
    tag = struct.pack("<HHI", 65000, 3, 1)
    assert value.count(tag) == 1
    file = io.BytesIO(value.replace(tag, struct.pack("<HHI", code[0], 3, 1)))
    whole = tifffile.imread(file)
    with bands_of(100):
        same(grey_of(file, ImageSource()), whole)


def png_of(header: tuple[int, int, int, int], rows: bytes, palette: bytes = b"", piece: int = 1000) -> bytes:
    """Width, height, bits, colour type; and rows, each with its filter. IDAT chunks have `piece` bytes."""

    def chunk(name: bytes, value: bytes) -> bytes:
        return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))

    packed = zlib.compress(rows)
    data = b"".join(chunk(b"IDAT", packed[at : at + piece]) for at in range(0, len(packed), piece))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *header, 0, 0, 0))
    return start + (chunk(b"PLTE", palette) if palette else b"") + data + chunk(b"IEND", b"")


@given(
    kind=st.sampled_from([(colour, bits) for colour, each in PNG_BITS.items() for bits in each]),
    shape=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    piece=st.sampled_from([7, 10_000]),
    size_bytes=BAND_BYTES,
    seed=st.integers(0, 1000),
)
@settings(max_examples=100, deadline=None)
def test_pngs(kind: tuple[int, int], shape: tuple[int, int], piece: int, size_bytes: int, seed: int) -> None:
    (colour, bits), (height, width), random = kind, shape, np.random.default_rng(seed)
    row_bytes = -(-width * bits * PNG_SAMPLES[colour] // 8)
    rows = b"".join(bytes([random.integers(0, 5)]) + random.bytes(row_bytes) for _ in range(height))
    palette = random.bytes(3 * int(random.integers(1, 257))) if colour == 3 else b""
    value = png_of((width, height, bits, colour), rows, palette, piece)
    with Image.open(io.BytesIO(value)) as opened:
        whole = np.asarray(opened.convert("RGB") if colour == 3 else opened)
    channel = None if whole.ndim == 2 else whole.shape[2] - 1
    with bands_of(size_bytes):
        found = grey_of(io.BytesIO(value), ImageSource(channel=channel))
    same(found, whole if channel is None else whole[..., channel])


def test_an_interlaced_png() -> None:
    passes = [(1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8)]  # of 8 x 8 pixels: rows, columns
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
    starts = [(0, 0), (0, 4), (4, 0), (0, 2), (2, 0), (0, 1), (1, 0)]
    rows = b""
    for (height, width), (y0, x0) in zip(passes, starts, strict=True):
        part = pixels[y0 :: 8 // height, x0 :: 8 // width]
        rows += b"".join(b"\0" + row.tobytes() for row in part)
    value = bytearray(png_of((8, 8, 8, 0), rows))
    value[28] = 1
    value[29:33] = struct.pack(">I", zlib.crc32(value[12:29]))
    with bands_of(1):
        same(grey_of(io.BytesIO(value), ImageSource()), pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpegs(mode: str) -> None:
    file = io.BytesIO()
    Image.fromarray(GREY).convert(mode).save(file, format="JPEG", progressive=True)
    with Image.open(file) as opened:
        whole = np.asarray(opened)
    with bands_of(1000):
        found = grey_of(file, ImageSource(channel=None if mode == "L" else 1))
    same(found, whole if mode == "L" else whole[..., 1])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "float32"])
@pytest.mark.parametrize("axes", ["CYX", "YCX", "YXC", "XYC", "XCY", "CXY"])
def test_mrcs(order: Any, dtype: str, axes: str) -> None:  # the order is a literal
    array = values((3, 11, 13), dtype)
    with bands_of(100):
        found = grey_of(io.BytesIO(mrc(array, MrcOptions(order=order))), ImageSource(axes=axes, channel=2))
    plane = array.take(2, axis=axes.index("C"))
    same(found, plane if axes.index("Y") < axes.index("X") else plane.T)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (png_of((9, 11, 8, 0), bytes(10 * 10)), "cannot be decoded"),
        (png_of((9, 11, 8, 0), (b"\7" + bytes(9)) * 11), "cannot be decoded"),
        (png_of((9, 11, 8, 3), bytes(110), bytes(3 * 257)), "palette"),
        (png_of((9, 11, 3, 0), bytes(110)), "header"),
    ],
    ids=["a row short", "unknown filter", "long palette", "unknown bits"],
)
def test_damaged_pngs_are_the_files_fault(value: bytes, reason: str) -> None:
    with pytest.raises(UnreadableImage, match=reason):
        grey_of(io.BytesIO(value), ImageSource(channel=0 if value[25] == 3 else None))


def test_a_png_whose_pixels_lost_their_checksum_is_damaged() -> None:
    value = bytearray(png_of((9, 11, 8, 0), bytes(110)))
    value[value.index(b"IEND") - 10] ^= 255  # before the chunk's own checksum is that of its pixels
    with pytest.raises(UnreadableImage, match="decoded"):
        grey_of(io.BytesIO(value), ImageSource())
