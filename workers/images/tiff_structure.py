"""The chain of pages in a TIFF file, walked before anything else looks at the file."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from emserve.errors import TooManyPages, UnreadableImage, UnsuitableImage

MANY_PAGES = 100
"""Up to which number unlike pages are looked at one by one; that takes half a millisecond a page, and more
the more kinds there are."""
MIXED = (
    "The TIFF's {pages} pages are of different kinds. Slices of a volume have the same size, data type and "
    "compression; save the image or the volume that is meant as a file of its own."
)
CUT_OFF = "The TIFF points to data beyond its end; it was cut off: send the whole file."
_MAX_TAGS = 4096  # tifffile reads no more of a page
_MAX_TAGS_IN_ALL = 1_000_000
_SUB_PAGES = 330
_MAX_SUB_PAGES = 64  # a pyramid has one for each level
# Width, length, bits, compression, photometric, fill order, samples, rows per strip, planar configuration,
# predictor, tile width and length, extra samples, sample format: pages that agree in them are one image's.
_KIND_TAGS = frozenset((256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 338, 339))
_KIND_BYTES = 64
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


class _Chain:
    """The pages of a file, one after the other."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size_bytes = size_bytes
        head = self._read(0, 8)
        self._order = "<" if head[:2] == b"II" else ">"
        self._layout = _BIG if head[2:4] in (b"+\0", b"\0+") else _CLASSIC
        self._inline_bytes = struct.calcsize(self._order + self._layout.offset)
        self._tags = 0
        self.kinds: set[tuple[bytes, ...]] = set()
        """The tags that make pages kindred, of each kind that there is."""

    def offsets(self) -> Iterator[int]:
        """Where each page is; its tags are checked when the next one is asked for."""
        layout = self._order + self._layout.first
        (offset,) = struct.unpack(layout, self._read(0, struct.calcsize(layout)))
        while offset:
            yield offset
            offset = self._next_page(offset)

    def _next_page(self, offset: int) -> int:
        """Checks the tags of the page at `offset`; where the next page is, or 0."""
        count_format, tag_format = self._order + self._layout.count, self._order + self._layout.tag
        count_bytes = struct.calcsize(count_format)
        (tags,) = struct.unpack(count_format, self._read(offset, count_bytes))
        self._tags += tags
        if tags > _MAX_TAGS or self._tags > _MAX_TAGS_IN_ALL:
            raise UnreadableImage("The TIFF's pages have more tags than any program writes: save it again.")
        length = tags * struct.calcsize(tag_format)
        directory = self._read(offset + count_bytes, length)
        kind = []
        for code, value_type, count, place in struct.iter_unpack(tag_format, directory):
            value_bytes = _TYPE_BYTES.get(value_type, 0) * count
            if value_bytes > self._inline_bytes and place + value_bytes > self._size_bytes:
                raise UnreadableImage(CUT_OFF)
            if code == _SUB_PAGES and count > _MAX_SUB_PAGES:
                raise UnreadableImage(f"A page of the TIFF has {count} smaller copies: save the image again.")
            if code in _KIND_TAGS:
                kind.append(self._kind_of(code, value_bytes, place))
        self.kinds.add(tuple(kind))
        following = self._read(offset + count_bytes + length, self._inline_bytes)
        return int.from_bytes(following, "little" if self._order == "<" else "big")

    def _kind_of(self, code: int, value_bytes: int, place: int) -> bytes:
        lies_elsewhere = self._inline_bytes < value_bytes <= _KIND_BYTES
        value = self._read(place, value_bytes) if lies_elsewhere else place.to_bytes(8)
        return code.to_bytes(2) + value

    def _read(self, offset: int, length: int) -> bytes:
        if offset + length > self._size_bytes:
            raise UnreadableImage(CUT_OFF)
        self._file.seek(offset)
        return self._file.read(length)


def count_pages(file: BinaryIO, max_pages: int | None = None) -> int:
    """How many pages a TIFF has. Raises UnreadableImage when the chain of pages leaves the file or runs in
    a circle, or when a tag points outside the file; TooManyPages; UnsuitableImage for many unlike pages."""
    chain = _Chain(file, file.seek(0, 2))
    seen: set[int] = set()
    for offset in chain.offsets():
        if offset in seen:
            raise UnreadableImage("The TIFF's pages run in a circle: save the image again.")
        seen.add(offset)
        if max_pages is not None and len(seen) > max_pages:
            raise TooManyPages(len(seen), max_pages)
    if not seen:
        raise UnreadableImage("The TIFF has no page: save the image again.")
    if len(seen) > MANY_PAGES and len(chain.kinds) > 1:
        raise UnsuitableImage(MIXED.format(pages=len(seen)))
    return len(seen)
