"""What every reader of a kind of file can do."""

from collections.abc import Iterator
from typing import Any, Protocol

from numpy.typing import NDArray

from workers.images.grey import FoundImage, GreyImage


class ImageReader(Protocol):
    """An open image file, its structure checked."""

    found: FoundImage
    """What its header says."""

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """The grey image from its beginning to its end, a few rows at a time: as many as the file lets one
        decode by themselves. Where `image.is_turned`, they are its columns. In a data type that goes into
        `image.header.dtype` without loss."""
