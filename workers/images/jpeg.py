"""Reads JPEG files."""

from collections.abc import Iterator
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image

from emserve.errors import UnreadableImage
from workers.images.grey import FoundImage, GreyImage
from workers.images.jpeg_data import pixels_of

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

        Image.MAX_IMAGE_PIXELS = None  # the number of pixels is checked against our own limit
        file.seek(0)
        with Image.open(file, formats=["JPEG"]) as picture:
            width, height = picture.size
            samples = len(picture.getbands())
        self.found = FoundImage(
            format="jpeg",
            shape=(height, width) if samples == 1 else (height, width, samples),
            axes="YX" if samples == 1 else "YXS",
            dtype="uint8",
            # No spacing: its density says how large to print the image.
        )

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """After the whole of it was decoded: a progressive JPEG can be decoded in no other way."""
        self._file.seek(0)
        yield from image.of_bands([pixels_of(self._file.read()).reshape(self.found.shape)], image.axes)
