"""Reads PNG files."""

import struct
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emserve.errors import UnreadableImage, UnsuitableImage
from workers.images import png_rows
from workers.images.grey import FoundImage, GreyImage
from workers.images.picture import picture_bands
from workers.images.png_rows import SIGNATURE, RowLayout
from workers.images.raw import BAND_BYTES

_CUT_OFF = "The PNG ends before its last chunk (IEND); it was cut off: send the whole file."
_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey + alpha, RGB + alpha
_BITS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type, too
_PALETTE = 3
_LARGEST_PALETTE_BYTES = 3 * 256


class PngReader:
    """A PNG with one image in it. Raises UnreadableImage when it is damaged or cut off."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._palette = b""
        header = self._walk()
        self._width, self._height, self._bits, self._colour_type, *methods = struct.unpack(">IIBBBBB", header)
        self._is_interlaced = bool(methods[-1])
        known = self._bits in _BITS.get(self._colour_type, ()) and methods[:2] == [0, 0]
        if not known or not self._width or not self._height:
            raise UnreadableImage("The PNG's header (IHDR) is damaged: save the image again.")
        if self._bits == 16 and self._colour_type != 0:
            raise UnsuitableImage(
                "The PNG has 16 bit colours; of PNG files with 16 bits this server takes grey ones: convert "
                "the image to grey, or save it as a TIFF."
            )
        self.found = self._find()

    def _walk(self) -> bytes:
        """The header's chunk; every chunk up to the last one lies inside the file."""
        size = self._file.seek(0, 2)
        position = len(SIGNATURE)
        header = b""
        while position + 12 <= size:
            self._file.seek(position)
            length, name = struct.unpack(">I4s", self._file.read(8))
            if not header:
                header = self._header(length, name)
            elif name == b"acTL":
                self._refuse_animation(self._file.read(4))
            elif name == b"PLTE":
                self._palette = self._read_palette(length)
            position += length + 12
            if name == b"IEND" and position <= size:
                return header
        raise UnreadableImage(_CUT_OFF)

    def _header(self, length: int, name: bytes) -> bytes:
        chunk = self._file.read(17)
        if name != b"IHDR" or length != 13 or len(chunk) < 17:
            raise UnreadableImage("The PNG does not begin with its header (IHDR): save the image again.")
        if zlib.crc32(name + chunk[:13]) != int.from_bytes(chunk[13:]):
            raise UnreadableImage("The PNG's header (IHDR) is damaged: its checksum does not fit.")
        return chunk[:13]

    def _read_palette(self, length: int) -> bytes:
        value = self._file.read(min(length, _LARGEST_PALETTE_BYTES))
        if len(value) < length or zlib.crc32(b"PLTE" + value) != int.from_bytes(self._file.read(4)):
            raise UnreadableImage("The PNG's palette (PLTE) is damaged: save the image again.")
        return value

    def _refuse_animation(self, frames: bytes) -> None:
        if (count := int.from_bytes(frames)) > 1:
            raise UnsuitableImage(
                f"The PNG is an animation of {count} frames, and this server takes single 2D images: save "
                "one frame as a file of its own."
            )

    def _find(self) -> FoundImage:
        samples = _SAMPLES[self._colour_type]
        dtype = {1: "bool", 16: "uint16"}.get(self._bits, "uint8")
        return FoundImage(
            format="png",
            shape=(self._height, self._width) if samples == 1 else (self._height, self._width, samples),
            axes="YX" if samples == 1 else "YXS",
            dtype="uint8" if samples > 1 else dtype,
            # No spacing: its pHYs chunk says how large to print the image.
        )

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """As the rows come out of the decompressor; of an interlaced PNG after the whole was decoded."""
        Image.MAX_IMAGE_PIXELS = None  # the number of pixels was checked against our own limit
        return image.of_bands(self._interlaced() if self._is_interlaced else self._rows(), image.axes)

    def _interlaced(self) -> Iterator[NDArray[Any]]:
        self._file.seek(0)
        with Image.open(self._file, formats=["PNG"]) as picture:
            yield from picture_bands(picture.convert("RGB") if picture.mode == "P" else picture)

    def _rows(self) -> Iterator[NDArray[Any]]:
        samples = 1 if self._colour_type == _PALETTE else _SAMPLES[self._colour_type]
        pixel_bits = samples * self._bits
        layout = RowLayout(-(-self._width * pixel_bits // 8), -(-pixel_bits // 8), self._height)
        # A quarter of a band, because these rows are copied several times on their way.
        rows = max(1, BAND_BYTES // (4 * layout.pixel_bytes * self._width))
        colours = self._colours() if self._colour_type == _PALETTE else None
        for band in png_rows.bands(self._file, layout, rows):
            values = self._values(band, samples)
            yield values if colours is None else colours[values]

    def _values(self, band: NDArray[np.uint8], samples: int) -> NDArray[Any]:
        """(rows, width) or (rows, width, samples) of rows of bytes."""
        if self._bits == 16:
            return band.view(">u2")
        if self._bits == 8:
            return band if samples == 1 else band.reshape(len(band), self._width, samples)
        largest = (1 << self._bits) - 1
        shifts = np.arange(8 - self._bits, -1, -self._bits, dtype=np.uint8)
        values = ((band[:, :, None] >> shifts) & np.uint8(largest)).reshape(len(band), -1)[:, : self._width]
        is_shade = self._colour_type != _PALETTE and self._bits > 1
        return values * np.uint8(255 // largest) if is_shade else values

    def _colours(self) -> NDArray[Any]:
        """(256, 3) red, green and blue of each value."""
        every = Image.frombytes("P", (256, 1), bytes(range(256)))
        every.putpalette(self._palette)
        return np.asarray(every.convert("RGB")).reshape(-1, 3)
