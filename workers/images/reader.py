"""What every reader of a kind of file can do."""

from typing import Any, Protocol

from numpy.typing import NDArray

from workers.images.grey import FoundImage, GreyImage


class ImageReader(Protocol):
    """An open image file, its structure checked."""

    found: FoundImage
    """What its header says."""

    def read(self, image: GreyImage) -> NDArray[Any]:
        """The grey image (Y, X), in the file's data type."""
