"""The chain of pages in a TIFF file, walked before anything else looks at the file."""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from emserve.errors import UnreadableImage, UnsuitableImage

MAX_PAGES = 10_000
CUT_OFF = "The TIFF points to data beyond its end; it was cut off: send the whole file."
_MAX_TAGS = 65_535  # what a classic TIFF can count
# Bytes of a value, by its type's number; the rest are unknown types, which readers skip.
_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


@dataclass(frozen=True)
class _Layout:
    """How a kind of TIFF writes its directories, as formats of `struct`."""

    first: str
    """Where the offset of the first directory is, in the file's head."""
    count: str
    """How many tags a directory has."""
    tag: str
    """Code, type, number of values, and the values or their offset."""
    offset: str


_CLASSIC = _Layout(first="4xI", count="H", tag="HHII", offset="I")
_BIG = _Layout(first="8xQ", count="Q", tag="HHQQ", offset="Q")


def count_pages(file: BinaryIO) -> int:
    """How many pages a TIFF has. Raises UnreadableImage when the chain of pages leaves the file or runs in
    a circle, or when a tag points outside the file; UnsuitableImage past MAX_PAGES."""
    size = file.seek(0, 2)
    head = _read(file, 0, 8, size)
    order = "<" if head[:2] == b"II" else ">"
    layout = _BIG if head[2:4] in (b"+\0", b"\0+") else _CLASSIC
    (offset,) = struct.unpack(order + layout.first, _read(file, 0, struct.calcsize("<" + layout.first), size))
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise UnreadableImage("The TIFF's pages run in a circle: save the image again.")
        seen.add(offset)
        if len(seen) > MAX_PAGES:
            raise UnsuitableImage(f"The TIFF has more than {MAX_PAGES} pages; save one plane as a file.")
        offset = _next_page(file, offset, order, layout, size)
    if not seen:
        raise UnreadableImage("The TIFF has no page: save the image again.")
    return len(seen)


def _next_page(file: BinaryIO, offset: int, order: str, layout: _Layout, size: int) -> int:
    """Checks the tags of the page at `offset`; where the next page is, or 0."""
    count_bytes = struct.calcsize(order + layout.count)
    (tags,) = struct.unpack(order + layout.count, _read(file, offset, count_bytes, size))
    if tags > _MAX_TAGS:
        raise UnreadableImage("The TIFF's structure is damaged: save the image again.")
    tag_format = order + layout.tag
    length = tags * struct.calcsize(tag_format)
    directory = _read(file, offset + count_bytes, length, size)
    inline = struct.calcsize(order + layout.offset)
    for _, kind, count, place in struct.iter_unpack(tag_format, directory):
        value_bytes = _TYPE_BYTES.get(kind, 0) * count
        if value_bytes > inline and place + value_bytes > size:
            raise UnreadableImage(CUT_OFF)
    (following,) = struct.unpack(
        order + layout.offset, _read(file, offset + count_bytes + length, inline, size)
    )
    return int(following)


def _read(file: BinaryIO, offset: int, length: int, size: int) -> bytes:
    if offset + length > size:
        raise UnreadableImage(CUT_OFF)
    file.seek(offset)
    return file.read(length)
