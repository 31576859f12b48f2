"""Reads PNG files."""

import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emserve.errors import UnreadableImage, UnsuitableImage
from workers.images.grey import FoundImage, GreyImage

_SIGNATURE_BYTES = 8
_CUT_OFF = "The PNG ends before its last chunk (IEND); it was cut off: send the whole file."
_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type: grey, RGB, palette, grey + alpha, RGB + alpha


class PngReader:
    """A PNG with one image in it. Raises UnreadableImage when it is damaged or cut off."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        header = self._walk()
        self._width, self._height, self._bits, self._colour_type = struct.unpack(">IIBB", header[:10])
        if self._colour_type not in _SAMPLES or not self._width or not self._height:
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
        position = _SIGNATURE_BYTES
        header = b""
        while position + 12 <= size:
            self._file.seek(position)
            length, name = struct.unpack(">I4s", self._file.read(8))
            if not header:
                header = self._header(length, name)
            elif name == b"acTL":
                self._refuse_animation(self._file.read(4))
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
            pixel_size_nm=None,  # its pHYs chunk says how large to print the image
        )

    def read(self, image: GreyImage) -> NDArray[Any]:
        Image.MAX_IMAGE_PIXELS = None  # the number of pixels was checked against our own limit
        self._file.seek(0)
        with Image.open(self._file, formats=["PNG"]) as picture:
            colours = picture.convert("RGB") if picture.mode == "P" else picture
            array = np.asarray(colours)
        return image.of(array.astype(self.found.dtype, copy=False))
