"""Reads JPEG files."""

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emserve.errors import UnreadableImage
from workers.images.grey import FoundImage, GreyImage

_END = b"\xff\xd9"
_TAIL_BYTES = 1 << 16  # some programs write a little behind the end


class JpegReader:
    """A JPEG. Raises UnreadableImage when it is damaged or cut off."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL_BYTES))
        if _END not in file.read():
            raise UnreadableImage("The JPEG has no end marker (EOI); it was cut off: send the whole file.")

        with self._open() as picture:
            width, height = picture.size
            samples = len(picture.getbands())
        self.found = FoundImage(
            format="jpeg",
            shape=(height, width) if samples == 1 else (height, width, samples),
            axes="YX" if samples == 1 else "YXS",
            dtype="uint8",
            pixel_size_nm=None,  # its density says how large to print the image
        )

    def read(self, image: GreyImage) -> NDArray[Any]:
        with self._open() as picture:
            return image.of(np.asarray(picture))

    def _open(self) -> Image.Image:
        Image.MAX_IMAGE_PIXELS = None  # the number of pixels is checked against our own limit
        self._file.seek(0)
        return Image.open(self._file, formats=["JPEG"])
