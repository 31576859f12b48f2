"""What every reader of a kind of file can do."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

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


@runtime_checkable
class BlockReader(ImageReader, Protocol):
    """A reader of a file that stores volumes in blocks of several slices."""

    def depth(self, volume: GreyImage) -> int:
        """How many slices lie in a block."""

    def blocks(
        self, volume: GreyImage, slices: tuple[int, int], step: int
    ) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
        """Slices z0 to z1 - 1 of a volume, which lie in one layer of blocks, by parts (z1 - z0, h, w), each
        with the place (y, x) of its first voxel. They begin at multiples of `step` and end there or at the
        edge. Raises UnreadableImage."""
