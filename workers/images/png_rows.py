"""The rows of a PNG that is not interlaced, a few at a time.

What the filters did to the rows is undone by Pillow. It decodes whole pictures only, so a few rows at a time
become a small PNG of their own, below the row that was decoded last.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIECE_BYTES = 1 << 20
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # of 8 bits a sample, by the number of samples


@dataclass(frozen=True)
class RowLayout:
    """How a PNG's rows are laid out."""

    row_bytes: int
    pixel_bytes: int
    """At how many bytes' distance filters compare; 1 where pixels are packed."""
    height: int


def chunk(name: bytes, value: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))


def bands(file: BinaryIO, layout: RowLayout, rows: int) -> Iterator[NDArray[np.uint8]]:
    """(up to `rows`, row_bytes) of the PNG's bytes, unfiltered. Raises EOFError where there are too few,
    zlib.error and what Pillow raises where they are damaged."""
    filtered = _Filtered(file)
    above = bytes(1 + layout.row_bytes)
    for y0 in range(0, layout.height, rows):
        count = min(rows, layout.height - y0)
        band = _unfiltered(above + filtered.read(count * len(above)), layout)[1:]
        above = b"\0" + band[-1].tobytes()
        yield band
    filtered.finish()


def _unfiltered(filtered: bytes, layout: RowLayout) -> NDArray[np.uint8]:
    height = len(filtered) // (1 + layout.row_bytes)
    width, colour_type = layout.row_bytes // layout.pixel_bytes, _COLOUR_TYPES[layout.pixel_bytes]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(filtered, level=0))
    small = io.BytesIO(SIGNATURE + header + data + chunk(b"IEND", b""))
    with Image.open(small, formats=["PNG"]) as picture:
        return np.asarray(picture).reshape(height, layout.row_bytes)


class _Filtered:
    """The rows as they are in the file, a byte for the filter before each; decompressed as they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._inflater = zlib.decompressobj()
        self._pieces = _compressed(file)

    def read(self, size: int) -> bytes:
        """The next `size` bytes. Raises EOFError and zlib.error."""
        parts = []
        while size:
            part = self._inflate(size)
            if part is None:
                raise EOFError("the rows end too early")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Reads on to the checksum, if that is what follows. Raises zlib.error where it does not fit."""
        while self._inflate(1) == b"":
            pass

    def _inflate(self, most: int) -> bytes | None:
        """Up to `most` bytes, none where more input is needed first; None at the end."""
        if self._inflater.eof:
            return None
        if part := self._inflater.decompress(self._inflater.unconsumed_tail, most):
            return part
        piece = next(self._pieces, None)
        return None if piece is None else self._inflater.decompress(piece, most)


def _compressed(file: BinaryIO) -> Iterator[bytes]:
    """What the chunks IDAT hold, which follow one another. The chunks are known to lie inside the file."""
    file.seek(len(SIGNATURE))
    name = begun = b""
    while name != b"IEND":
        length, name = struct.unpack(">I4s", file.read(8))
        if name == b"IDAT":
            begun = name
            end = file.tell() + length
            while (left := end - file.tell()) > 0:
                yield file.read(min(left, _PIECE_BYTES))
            file.seek(end + 4)
        elif begun:
            return
        else:
            file.seek(length + 4, 1)
