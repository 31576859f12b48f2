"""Reads a volume that comes as a zip of images, one for each slice."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, BinaryIO

from numpy.typing import NDArray

from emserve.errors import EmserveError, TooManyPages, UnsuitableImage
from workers.images.archive import Archive
from workers.images.axes import SLICES
from workers.images.grey import FoundImage, GreyImage
from workers.images.reader import ImageReader
from workers.images.slice_names import in_order

LOOK_SECONDS = 1.5
"""How long headers of slices are looked at when a zip is opened; the others are, when they are decoded."""

OpenImage = Callable[[BinaryIO], ImageReader]


class ZippedSlices:
    """A zip of slices. Raises UnsuitableImage, naming the file, where slices differ in size or data type, are
    no single images, or do not have the names of a series."""

    def __init__(self, archive: Archive, open_image: OpenImage, max_pages: int | None = None) -> None:
        self._archive = archive
        self._open_image = open_image
        self._names = in_order(archive.names)
        if max_pages is not None and len(self._names) > max_pages:
            raise TooManyPages(len(self._names), max_pages)
        first = self._first = self._open(self._names[0]).found
        self.found = replace(
            first,
            format="slices",
            shape=(len(self._names), *first.shape),
            axes=SLICES + first.axes,
            # A file of one slice cannot know how far the next one is, and an MRC's cell has some depth.
            spacing_nm={axis: size for axis, size in first.spacing_nm.items() if axis != SLICES},
        )
        if max_pages is not None:  # a new file; one that was accepted is looked at slice by slice
            self._look_around()

    def _look_around(self) -> None:
        """At the last slice, then at the others from the first on, as long as there is time."""
        deadline = time.monotonic() + LOOK_SECONDS
        for name in (self._names[-1], *self._names[1:-1]):
            self._open(name)
            if time.monotonic() > deadline:
                return

    def _open(self, name: str) -> ImageReader:
        try:
            reader = self._open_image(self._archive.open(name))
        except EmserveError as error:
            raise type(error)(f"{name!r} in the zip: {error}") from error
        if SLICES in reader.found.axes or set(reader.found.axes) - set("YXCS"):
            raise UnsuitableImage(
                f"{name!r} in the zip holds several planes ({_shown(reader.found)}): each file is one slice."
            )
        if hasattr(self, "_first") and _kind(reader.found) != _kind(self._first):
            raise UnsuitableImage(
                f"{name!r} in the zip is {_shown(reader.found)}, and {self._names[0]!r} is "
                f"{_shown(self._first)}: the slices of a volume have the same size and data type."
            )
        return reader

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """Of a slice, as its own file lets one decode them."""
        index = {axis: place for axis, place in image.index.items() if axis != SLICES}
        reader = self._open(self._names[image.index[SLICES]])
        yield from reader.bands(replace(image, axes=image.axes.replace(SLICES, ""), index=index))


def _kind(found: FoundImage) -> tuple[object, ...]:
    return found.shape, found.axes, found.dtype


def _shown(found: FoundImage) -> str:
    return f"{' x '.join(str(side) for side in found.shape)} {found.dtype}"
