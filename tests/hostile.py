"""Files that are made to break whoever reads them: each by its name, and without end by mutation.

`FILES` are built one by one for what they attack. `corpus(seed)` gives mutations of them and of good files,
the same ones for the same seed.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice, pairwise
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from tests.archives import ome, slices_of, zarr_files, zip_of
from tests.mrcs import mrc
from tests.pictures import tiff

SIDE = 32
GREY = (np.arange(SIDE * SIDE, dtype=np.uint32) * 7919 >> 3).astype(np.uint8).reshape(SIDE, SIDE)
MANY = 10_000

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 256, 257, 258, 259, 262, 266
DESCRIPTION, OFFSETS, SAMPLES, ROWS, COUNTS, PLANAR = 270, 273, 277, 278, 279, 284
X_RESOLUTION, Y_RESOLUTION, PREDICTOR, COLOURS = 282, 283, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS = 322, 323, 324, 325
SUB_PAGES, EXTRA_SAMPLES, SAMPLE_FORMAT, JPEG_TABLES = 330, 338, 339, 347
ASCII, SHORT, LONG, RATIONAL, SIGNED, DOUBLE = 2, 3, 4, 5, 9, 12

NONE, LZW, JPEG, ZLIB, ZSTD = 1, 5, 7, 8, 50000


@dataclass(frozen=True)
class Tag:
    """One entry of a TIFF's page, as it stands in the file."""

    kind: int
    count: int
    value: int
    """Or the offset of the values."""


Page = dict[int, Tag]
Change = dict[int, Tag | None]


def page() -> Page:
    """Of GREY, whose pixels lie behind the head of the file."""
    return {
        WIDTH: Tag(SHORT, 1, SIDE),
        HEIGHT: Tag(SHORT, 1, SIDE),
        BITS: Tag(SHORT, 1, 8),
        COMPRESSION: Tag(SHORT, 1, NONE),
        PHOTOMETRIC: Tag(SHORT, 1, 1),
        OFFSETS: Tag(LONG, 1, 8),
        SAMPLES: Tag(SHORT, 1, 1),
        ROWS: Tag(SHORT, 1, SIDE),
        COUNTS: Tag(LONG, 1, SIDE * SIDE),
    }


def directory(tags: Page, following: int) -> bytes:
    entries = (
        struct.pack("<HHII", code, tag.kind, tag.count, tag.value) for code, tag in sorted(tags.items())
    )
    return struct.pack("<H", len(tags)) + b"".join(entries) + struct.pack("<I", following)


def tiff_of(pages: Sequence[Page], data: bytes | None = None, last: int = 0) -> bytes:
    """A TIFF: its head, `data` (the pixels of GREY), the pages, of which the last one points to `last`."""
    data = GREY.tobytes() if data is None else data
    data += bytes(len(data) % 2)
    parts, place = [b"II*\0" + struct.pack("<I", 8 + len(data)) + data], 8 + len(data)
    for number, tags in enumerate(pages):
        place += 2 + 12 * len(tags) + 4
        parts.append(directory(tags, last if number == len(pages) - 1 else place))
    return b"".join(parts)


def changed(change: Change, data: bytes | None = None, last: int = 0) -> bytes:
    """A TIFF of one page with other tags; None leaves one out."""
    tags = {code: tag for code, tag in {**page(), **change}.items() if tag is not None}
    return tiff_of([tags], data, last)


def packed(compression: int, strip: bytes, **sides: int) -> bytes:
    """A TIFF whose one strip is `strip`."""
    width, height = sides.get("width", SIDE), sides.get("height", SIDE)
    return changed(
        {
            WIDTH: Tag(LONG, 1, width),
            HEIGHT: Tag(LONG, 1, height),
            ROWS: Tag(LONG, 1, height),
            COMPRESSION: Tag(SHORT, 1, compression),
            COUNTS: Tag(LONG, 1, len(strip)),
        },
        strip,
    )


def described(text: bytes, pages: int = 1) -> bytes:
    """A TIFF with this description."""
    data = GREY.tobytes() + text + b"\0"
    first = {**page(), DESCRIPTION: Tag(ASCII, len(text) + 1, 8 + SIDE * SIDE)}
    return tiff_of([first, *[page()] * (pages - 1)], data)


def zlib_zeros(size_bytes: int) -> bytes:
    """`size_bytes` of zeros, a multiple of 16 MiB, as zlib packs them; quicker than packing them."""
    piece = 1 << 24
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(piece)) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = (size_bytes % 65521) << 16 | 1
    return b"\x78\xda" + block * (size_bytes // piece) + b"\x03\0" + checksum.to_bytes(4)


def chunk(name: bytes, value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))


def png_of(width: int, height: int, *chunks: bytes, bits: int = 8, colour: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def picture(kind: str, **options: Any) -> bytes:
    """As Pillow writes it with its `options`."""
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, kind, **options)
    return file.getvalue()


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG that says it has these sides."""
    whole = bytearray(picture("JPEG"))
    frame = whole.index(b"\xff\xc0")
    struct.pack_into(">HH", whole, frame + 5, height, width)
    return bytes(whole)


def jpeg_with_a_hole(**options: Any) -> bytes:
    """A JPEG that lacks the second half of its pixels and yet has its end; `options` are Pillow's."""
    whole = picture("JPEG", **options)
    pixels = len(whole) // 2 + whole.index(b"\xff\xda") // 2
    return whole[:pixels] + bytes(len(whole) - 2 - pixels) + whole[-2:]


def _png_pixels() -> bytes:
    return chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in GREY)))


def _mrc_with(place: int, layout: str, *values: float) -> bytes:
    whole = bytearray(mrc(GREY))
    struct.pack_into("<" + layout, whole, place, *values)
    return bytes(whole)


def _overlapping_pages() -> bytes:
    """Pages that begin four bytes after each other and each count all the tags that follow."""
    places = range(8, 8 + 4 * MANY, 4)
    whole = bytearray(b"II*\0\x08\0\0\0" + struct.pack("<HH", 4000, 0) * MANY + bytes(12 * 4000 + 4))
    for place, following in pairwise(places):
        end = place + 2 + 12 * 4000
        if end + 4 <= len(whole):
            struct.pack_into("<I", whole, end, following)
    return bytes(whole)


def _many_tags() -> bytes:
    """Thousands of unknown tags, each with a mebibyte of values in the same place."""
    data = GREY.tobytes() + bytes(1 << 20)
    return tiff_of(
        [{**page(), **{40_000 + number: Tag(1, 1 << 20, 8 + SIDE * SIDE) for number in range(4000)}}], data
    )


def _ome(size_z: int, image: str = "") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="{SIDE}" '
        f'SizeY="{SIDE}" SizeZ="{size_z}" SizeC="1" SizeT="1"><TiffData/></Pixels></Image>{image}</OME>'
    ).encode()


def _laughs() -> bytes:
    names = "".join(f'<!ENTITY l{number} "{f"&l{number - 1};" * 10}">' for number in range(1, 10))
    return f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY l0 "lol">{names}]><OME>&l9;</OME>'.encode()


def _external() -> bytes:
    return b'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY x SYSTEM "file:///etc/passwd">]><OME>&x;</OME>'


def _truncations() -> dict[str, Callable[[], bytes]]:
    """A TIFF cut off at each of its structures: head, pixels, count of tags, each tag, next page."""
    whole = tiff_of([page()])
    begin = 8 + SIDE * SIDE
    places = [
        1,
        2,
        4,
        7,
        8,
        9,
        begin - 1,
        begin,
        begin + 1,
        *range(begin + 2, len(whole), 12),
        len(whole) - 1,
    ]
    return {f"tiff cut at byte {place}": lambda place=place: whole[:place] for place in places}  # type: ignore[misc]


def _tags() -> dict[str, Callable[[], bytes]]:
    """TIFFs of one page in which one thing is a lie."""
    largest = 0xFFFFFFFF
    lies: dict[str, Change] = {
        "no width": {WIDTH: None},
        "width 0": {WIDTH: Tag(SHORT, 1, 0)},
        "0 x 0": {WIDTH: Tag(SHORT, 1, 0), HEIGHT: Tag(SHORT, 1, 0)},
        "2M x 2M": {WIDTH: Tag(LONG, 1, 2_000_000), HEIGHT: Tag(LONG, 1, 2_000_000)},
        "largest sides": {WIDTH: Tag(LONG, 1, largest), HEIGHT: Tag(LONG, 1, largest)},
        "a negative width": {WIDTH: Tag(SIGNED, 1, largest)},
        "a width in letters": {WIDTH: Tag(ASCII, 4, 0x00323331)},
        "a width of many values": {WIDTH: Tag(SHORT, 400, 8)},
        "a width of an unknown type": {WIDTH: Tag(99, 1, SIDE)},
        "one row more than there is": {HEIGHT: Tag(SHORT, 1, SIDE + 1)},
        "strips outside": {OFFSETS: Tag(LONG, 1, 1 << 30)},
        "strips at the end": {OFFSETS: Tag(LONG, 1, largest)},
        "strips longer than the file": {COUNTS: Tag(LONG, 1, largest)},
        "empty strips": {COUNTS: Tag(LONG, 1, 0)},
        "no strips": {OFFSETS: None, COUNTS: None},
        "no lengths of strips": {COUNTS: None, HEIGHT: Tag(SHORT, 1, 4 * SIDE)},
        "four thousand million strips": {OFFSETS: Tag(LONG, largest, 8), COUNTS: Tag(LONG, largest, 8)},
        "more strips than lengths": {OFFSETS: Tag(LONG, 100, 8), ROWS: Tag(SHORT, 1, 1)},
        "strips of no rows": {ROWS: Tag(SHORT, 1, 0)},
        "bits 0": {BITS: Tag(SHORT, 1, 0)},
        "bits 3": {BITS: Tag(SHORT, 1, 3)},
        "bits 12": {BITS: Tag(SHORT, 1, 12)},
        "bits 33": {BITS: Tag(SHORT, 1, 33)},
        "bits 65535": {BITS: Tag(SHORT, 1, 65535)},
        "bits of many samples": {BITS: Tag(SHORT, 300, 8)},
        "samples 0": {SAMPLES: Tag(SHORT, 1, 0)},
        "samples 65535": {SAMPLES: Tag(SHORT, 1, 65535)},
        "an unknown sample format": {SAMPLE_FORMAT: Tag(SHORT, 1, 9)},
        "complex samples": {SAMPLE_FORMAT: Tag(SHORT, 1, 6), BITS: Tag(SHORT, 1, 64)},
        "an unknown compression": {COMPRESSION: Tag(SHORT, 1, 99)},
        "jpeg 2000": {COMPRESSION: Tag(SHORT, 1, 34712)},
        "fax": {COMPRESSION: Tag(SHORT, 1, 4), BITS: Tag(SHORT, 1, 1)},
        "pixels that are no lzw": {COMPRESSION: Tag(SHORT, 1, LZW)},
        "pixels that are no zlib": {COMPRESSION: Tag(SHORT, 1, ZLIB)},
        "pixels that are no zstd": {COMPRESSION: Tag(SHORT, 1, ZSTD)},
        "pixels that are no jpeg": {COMPRESSION: Tag(SHORT, 1, JPEG)},
        "tiles of no size": {TILE_WIDTH: Tag(SHORT, 1, 0), TILE_HEIGHT: Tag(SHORT, 1, 0)},
        "tiles of 4 thousand million": {
            TILE_WIDTH: Tag(LONG, 1, largest),
            TILE_HEIGHT: Tag(LONG, 1, largest),
        },
        "tiles without a place": {TILE_WIDTH: Tag(SHORT, 1, 16), TILE_HEIGHT: Tag(SHORT, 1, 16)},
        "a palette without colours": {PHOTOMETRIC: Tag(SHORT, 1, 3)},
        "a palette outside": {PHOTOMETRIC: Tag(SHORT, 1, 3), COLOURS: Tag(SHORT, 768, 1 << 20)},
        "a short palette": {PHOTOMETRIC: Tag(SHORT, 1, 3), COLOURS: Tag(SHORT, 3, 8)},
        "smaller copies without end": {SUB_PAGES: Tag(LONG, 250, 8)},
        "a description outside": {DESCRIPTION: Tag(ASCII, 100, 1 << 20)},
    }
    return {f"tiff with {name}": lambda change=change: changed(change) for name, change in lies.items()}  # type: ignore[misc]


REFUSED: dict[str, Callable[[], bytes]] = {
    **_truncations(),
    "tiff whose first page is its head": lambda: b"II*\0\0\0\0\0" + bytes(100),
    "tiff whose first page is inside its head": lambda: b"II*\0\x02\0\0\0" + bytes(100),
    "tiff whose page follows itself": lambda: changed({}, last=8 + SIDE * SIDE),
    "tiff whose pages follow each other": lambda: tiff_of([page(), page()], last=8 + SIDE * SIDE),
    "tiff whose next page lies outside": lambda: changed({}, last=1 << 30),
    "tiff of a million pages": lambda: (
        b"II*\0\x08\0\0\0" + b"".join(struct.pack("<HI", 0, 14 + 6 * number) for number in range(1_000_000))
    ),
    "tiff of many unlike pages": lambda: tiff_of(
        [{**page(), WIDTH: Tag(SHORT, 1, 1 + number)} for number in range(MANY)]
    ),
    "tiff of many pages with one odd": lambda: tiff_of(
        [{**page(), COMPRESSION: Tag(SHORT, 1, LZW if number == 2 else NONE)} for number in range(MANY)]
    ),
    "tiff of pages that overlap": _overlapping_pages,
    "tiff with a page of 65535 tags": lambda: b"II*\0\x08\0\0\0" + b"\xff\xff" + bytes(12 * 65535 + 4),
    "tiff of 2M x 2M in zlib": lambda: packed(
        ZLIB, zlib.compress(bytes(99)), width=2_000_000, height=2_000_000
    ),
    "ome of a thousand million planes": lambda: described(_ome(10**9)),
    "bigtiff of no tags": lambda: b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + bytes(16),
    "bigtiff of 2**64 - 1 tags": lambda: b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0" + b"\xff" * 8 + bytes(99),
    "bigtiff whose page lies at 2**63": lambda: (
        b"II+\0\x08\0\0\0" + (1 << 63).to_bytes(8, "little") + bytes(99)
    ),
    "png of 0 x 0": lambda: png_of(0, 0, _png_pixels()),
    "png of 2M x 2M": lambda: png_of(2_000_000, 2_000_000, _png_pixels()),
    "png of the largest sides": lambda: png_of(2**31 - 1, 2**31 - 1, _png_pixels()),
    "png of a chunk longer than the file": lambda: (
        png_of(SIDE, SIDE)[:33] + struct.pack(">I", 2**31) + b"IDAT"
    ),
    "png of an unknown colour type": lambda: png_of(SIDE, SIDE, _png_pixels(), colour=5),
    "png without its end": lambda: png_of(SIDE, SIDE, _png_pixels())[:-12],
    "png of empty chunks alone": lambda: png_of(SIDE, SIDE)[:33] + bytes(12 * 100_000),
    "png of a damaged header": lambda: png_of(SIDE, SIDE, _png_pixels()).replace(b"\0\0\0 ", b"\0\0\0!", 1),
    "jpeg of 65500 x 65500": lambda: jpeg_of(65500, 65500),
    "jpeg of no rows": lambda: jpeg_of(SIDE, 0),
    "jpeg of its first and last bytes": lambda: b"\xff\xd8\xff\xd9",
    "jpeg without its end": lambda: picture("JPEG")[:-2],
    "mrc of a negative side": lambda: _mrc_with(0, "3i", -SIDE, SIDE, 1),
    "mrc of 0 x 0": lambda: _mrc_with(0, "3i", 0, 0, 1),
    "mrc of 2M x 2M": lambda: _mrc_with(0, "3i", 2_000_000, 2_000_000, 1),
    "mrc of the largest sides": lambda: _mrc_with(0, "3i", 2**31 - 1, 2**31 - 1, 2**31 - 1),
    "mrc of a complex mode": lambda: _mrc_with(12, "i", 4),
    "mrc of an unknown mode": lambda: _mrc_with(12, "i", 1 << 30),
    "mrc of a negative extended header": lambda: _mrc_with(92, "i", -1024),
    "mrc of a largest extended header": lambda: _mrc_with(92, "i", 2**31 - 1),
    "mrc of an unknown stamp": lambda: _mrc_with(212, "I", 0),
    "mrc cut in its header": lambda: mrc(GREY)[:600],
    "mrc cut in its pixels": lambda: mrc(GREY)[:-1],
    "pdf behind the magic of a tiff": lambda: b"II*\0%PDF-1.7\n1 0 obj\n<</Type/Catalog>>\nendobj\n" * 20,
    "html": lambda: b"<!doctype html><script>alert(1)</script>",
    "gif": lambda: b"GIF89a" + bytes(200),
    "zip": lambda: b"PK\x03\x04" + bytes(200),
    "hdf5": lambda: b"\x89HDF\r\n\x1a\n" + bytes(200),
    "python's pickle": lambda: b"\x80\x04\x95" + bytes(200),
    "noise": lambda: random.Random(1).randbytes(5000),
    "noise behind the magic of a tiff": lambda: b"II*\0\x08\0\0\0" + random.Random(2).randbytes(5000),
    "noise behind the magic of a bigtiff": lambda: b"MM\0+\0\x08\0\0" + random.Random(3).randbytes(5000),
    "noise behind the magic of a png": lambda: b"\x89PNG\r\n\x1a\n" + random.Random(4).randbytes(5000),
    "noise behind the magic of a jpeg": lambda: (
        b"\xff\xd8\xff" + random.Random(5).randbytes(5000) + b"\xff\xd9"
    ),
}
"""What must be refused when its upload ends."""

SUSPECT: dict[str, Callable[[], bytes]] = {
    **_tags(),
    "tiff of many tags with large values": _many_tags,
    "tiff whose sizes in nm are no numbers": lambda: changed(
        {X_RESOLUTION: Tag(RATIONAL, 1, 8), Y_RESOLUTION: Tag(DOUBLE, 1, 8)}, b"\xff" * SIDE * SIDE
    ),
    "tiff of a strip for each row": lambda: _strips(1 << 10),
    "ome of a billion laughs": lambda: described(_laughs()),
    "imagej of a thousand million planes": lambda: described(
        b"ImageJ=1.54\nimages=1000000000\nslices=1000000000\n"
    ),
    "ome that is no xml": lambda: described(b"<OME><Image>"),
    "ome that names another file": lambda: described(_external()),
    "ome in utf-16": lambda: described("<?xml version='1.0'?><OME/>".encode("utf-16")),
    "shaped by a lie": lambda: described(b'{"shape": [1000000000, 1000000000]}'),
    "shaped by nonsense": lambda: described(b'{"shape": [' + b"[" * 5000),
    "png of too few pixels": lambda: png_of(SIDE, SIDE * 2, _png_pixels()),
    "png of pixels that are no zlib": lambda: png_of(SIDE, SIDE, chunk(b"IDAT", b"nonsense" * 50)),
    "png without pixels": lambda: png_of(SIDE, SIDE),
    "png of text that unpacks to 256 MiB": lambda: png_of(
        SIDE, SIDE, chunk(b"zTXt", b"a\0\0" + zlib_zeros(1 << 28)), _png_pixels()
    ),
    "png of bits that its colours do not have": lambda: png_of(SIDE, SIDE, _png_pixels(), bits=4, colour=2),
    "jpeg of more rows than there are": lambda: jpeg_of(SIDE, SIDE * 9),
    "jpeg with a hole": jpeg_with_a_hole,
    "jpeg with a hole in a tiff": lambda: packed(JPEG, jpeg_with_a_hole()),
    "mrc of a cell that is no number": lambda: _mrc_with(40, "3f", float("nan"), float("inf"), -1.0),
    "png with a zip behind it": lambda: png_of(SIDE, SIDE, _png_pixels()) + b"PK\x03\x04" + bytes(200),
    "tiff that calls itself an mrc": lambda: changed(
        {}, GREY.tobytes()[:200] + b"MAP DD\0\0" + GREY.tobytes()[208:]
    ),
}
"""What may be refused, may fail once it is decoded, or may be read: never by a fault of the service."""

BOMBS: dict[str, Callable[[], bytes]] = {
    "zlib bomb": lambda: packed(ZLIB, zlib_zeros(1 << 31)),
    "lzw bomb": lambda: packed(LZW, bytes(imagecodecs.lzw_encode(bytes(1 << 24)))),
    "zstd bomb": lambda: packed(ZSTD, bytes(imagecodecs.zstd_encode(bytes(1 << 26)))),
    "zstd that promises 2**60 bytes": lambda: packed(
        ZSTD, b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + b"\1\0\0"
    ),
    "jpeg bomb in a tiff": lambda: packed(JPEG, jpeg_of(65500, 65500)),
    "png bomb": lambda: png_of(31_000, 31_000, chunk(b"IDAT", zlib_zeros(1 << 24))),
}
"""What is small and becomes large when it is decoded."""

FILES = {**REFUSED, **SUSPECT, **BOMBS}


def _strips(count: int) -> bytes:
    """An image of `count` rows, each a strip of its own that says it is the same byte."""
    offsets = struct.pack("<I", 8) * count
    lengths = struct.pack("<I", 1) * count
    data = b"\7" * 8 + offsets + lengths
    return changed(
        {
            WIDTH: Tag(SHORT, 1, 1),
            HEIGHT: Tag(LONG, 1, count),
            ROWS: Tag(SHORT, 1, 1),
            OFFSETS: Tag(LONG, count, 16),
            COUNTS: Tag(LONG, count, 16 + 4 * count),
        },
        data,
    )


def _good() -> dict[str, Callable[[], bytes]]:
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "bigtiff": {"bigtiff": True},
        "big-endian": {"byteorder": ">"},
        "tiled": {"tile": (16, 16), "compression": "zlib"},
        "lzw": {"compression": "lzw", "predictor": True},
        "imagej": {"imagej": True},
    }
    tiffs: dict[str, Callable[[], bytes]] = {
        name: lambda options=options: tiff(GREY, **options)  # type: ignore[misc]
        for name, options in kinds.items()
    }
    named = {"ome": lambda: described(_ome(1))}  # tifffile's own has a random name in it
    return {
        **tiffs,
        **named,
        "png": lambda: picture("PNG"),
        "jpeg": lambda: picture("JPEG"),
        "mrc": lambda: mrc(GREY),
        "stack": lambda: tiff(np.stack([GREY] * 3), photometric="minisblack", compression="zlib"),
        "mrc of slices": lambda: mrc(np.stack([GREY] * 3)),
        "slices": lambda: zip_of(slices_of(np.stack([GREY] * 3))),
        "zarr": lambda: zip_of(zarr_files(np.stack([GREY] * 3), ome("zyx"))),
    }


_NUMBERS = (0, 1, 2, 7, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 63, (1 << 64) - 1)
_LONGEST_BYTES = 1 << 20


@cache
def _bases() -> dict[str, bytes]:
    sources = {**_good(), **REFUSED, **SUSPECT}
    return {name: value for name, make in sources.items() if len(value := make()) <= _LONGEST_BYTES}


def corpus(seed: int) -> Iterator[tuple[str, bytes]]:
    """Mutated files without end, each with a name that says where it comes from: good files and hostile ones
    (those of at most a mebibyte), with one to eight changes."""
    chance = random.Random(seed)
    bases = _bases()
    good = list(_good())
    number = 0
    while True:
        name = chance.choice(good if chance.random() < 0.7 else list(bases))
        mutant = bytearray(bases[name])
        for _ in range(chance.randint(1, 8)):
            _mutate(mutant, chance, bases)
        yield f"{name}, mutation {seed}.{number}", bytes(mutant)
        number += 1


def first(seed: int, count: int) -> list[tuple[str, bytes]]:
    """The first mutated files of a seed."""
    return list(islice(corpus(seed), count))


def _mutate(value: bytearray, chance: random.Random, bases: dict[str, bytes]) -> None:
    """One change in place. Most hit the first and last bytes, where structures lie."""
    size = len(value)
    reach = min(size, 300) if chance.random() < 0.5 else size
    place = chance.randrange(reach + 1)
    if chance.random() < 0.3:
        place = size - min(place, size)
    match chance.randrange(6):
        case 0:
            value[place : place + 1] = chance.randbytes(1)
        case 1:
            length = chance.choice((1, 2, 4, 8))
            number = chance.choice((*_NUMBERS, size, max(0, size - 1))) & (1 << 8 * length) - 1
            value[place : place + length] = number.to_bytes(length, chance.choice(("little", "big")))
        case 2:
            del value[place : place + chance.randrange(1, 64)]
        case 3:
            value[place:place] = chance.randbytes(chance.randrange(1, 64))
        case 4:
            value[place:place] = value[place : place + chance.randrange(1, 64)]
        case _:
            other = chance.choice(list(bases.values()))
            begin = chance.randrange(len(other) + 1)
            value[place : place + 64] = other[begin : begin + 64]
    if chance.random() < 0.05:
        del value[chance.randrange(len(value) + 1) :]
