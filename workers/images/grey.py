"""Which grey image of a file is meant: axes, channel, data type, checked against what can be segmented."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emserve.errors import FieldError, ImageTooLarge, InvalidRequest, UnreadableImage, UnsuitableImage
from emserve.jobs import ImageHeader, ImageSource

DTYPES = ("bool", "uint8", "uint16", "int16", "float32")
_CHANNEL_AXES = "CS"


@dataclass(frozen=True)
class FoundImage:
    """What a file says of the array in it, before any choice is made."""

    format: str
    """tiff, mrc, png or jpeg."""
    shape: tuple[int, ...]
    axes: str
    """A letter for each of `shape`; letters other than Y, X, C (channel) and S (sample) make a stack."""
    dtype: str
    pixel_size_nm: tuple[float, float] | None
    """Of rows and columns."""


@dataclass(frozen=True)
class GreyImage:
    """The one grey image that is meant, and where in the file's array it lies."""

    header: ImageHeader
    axes: str
    """Axes of the file's array, the caller's correction applied."""
    index: dict[str, int]
    """The place of the image on every axis but Y and X."""

    @property
    def is_turned(self) -> bool:
        """Whether rows of the file are columns of the image."""
        return self.axes.index("X") < self.axes.index("Y")

    def of(self, array: NDArray[Any], axes: str) -> NDArray[Any]:
        """The image in an array with these of the file's axes: (Y, X), or (X, Y) where it is turned."""
        return array[tuple(self.index.get(axis, slice(None)) for axis in axes)]

    def of_bands(self, bands: Iterable[NDArray[Any]], axes: str) -> Iterator[NDArray[Any]]:
        """The same, of an array that comes by bands along the first of its axes."""
        if axes[0] in "YX":
            yield from (self.of(band, axes) for band in bands)
            return
        begin, wanted = 0, self.index[axes[0]]
        for band in bands:
            if begin <= wanted < begin + len(band):
                yield self.of(band[wanted - begin], axes[1:])
            begin += len(band)


def choose(found: FoundImage, source: ImageSource, max_pixels: int | None = None) -> GreyImage:
    """The grey image that `source` means. Raises InvalidRequest, UnsuitableImage, UnreadableImage or
    ImageTooLarge."""
    axes = _axes(found, source)
    sizes = dict(zip(axes, found.shape, strict=True))
    _refuse_stack(sizes)
    channel_sizes = {axis: size for axis, size in sizes.items() if axis in _CHANNEL_AXES}
    index = dict.fromkeys(axes.replace("Y", "").replace("X", ""), 0)
    index |= _channel_index(channel_sizes, source.channel)
    if found.dtype not in DTYPES:
        raise UnsuitableImage(
            f"The image's data type is {found.dtype}; this server takes {', '.join(DTYPES)}. "
            "Convert the image to one of them."
        )
    height, width = sizes["Y"], sizes["X"]
    if height < 1 or width < 1:
        raise UnreadableImage(f"The file speaks of {height} x {width} pixels: save the image again.")
    if max_pixels is not None and height * width > max_pixels:
        raise ImageTooLarge(height * width, max_pixels)
    pixel_size, said_by = _pixel_size(found, source, axes)
    header = ImageHeader(
        format=found.format,
        shape=[height, width],
        axes="YX",
        dtype=found.dtype,
        pixel_size_nm=pixel_size,
        pixel_size_source=said_by,
        channel=source.channel if prod(channel_sizes.values()) > 1 else None,
    )
    return GreyImage(header, axes, index)


def _axes(found: FoundImage, source: ImageSource) -> str:
    axes = source.axes or found.axes
    shown = " x ".join(str(side) for side in found.shape)
    if len(axes) != len(found.shape) or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
        detail = (
            f"The image is an array of {shown}; `axes` needs one letter for each side, Y and X among them."
        )
        if source.axes is None:
            raise UnsuitableImage(f"{detail} The file says {found.axes}.")
        raise InvalidRequest(f"{detail} Given: {axes}.", errors=[FieldError("/params/axes", detail)])
    return axes


def _refuse_stack(sizes: dict[str, int]) -> None:
    planes = {axis: size for axis, size in sizes.items() if axis not in "YX" + _CHANNEL_AXES}
    if prod(planes.values()) > 1:
        raise UnsuitableImage(
            f"The file is a stack of {prod(planes.values())} planes (axes {''.join(sizes)}), and this server "
            "takes single 2D images: save one plane as a file of its own. If the planes are channels, say so "
            "with `axes` (such as CYX) and `channel`."
        )


def _channel_index(sizes: dict[str, int], channel: int | None) -> dict[str, int]:
    count = prod(sizes.values())
    if channel is not None and channel >= count:
        detail = f"`channel` is {channel}, and the image has {count}: choose 0 to {count - 1}."
        raise InvalidRequest(detail, errors=[FieldError("/params/channel", detail)])
    if channel is None and count > 1:
        detail = (
            f"The image has {count} channels and a grey image is needed: say which one it is "
            '(`"params": {"channel": 0}`), or convert the image to grey.'
        )
        raise UnsuitableImage(detail, errors=[FieldError("/params/channel", detail)])
    if not sizes:
        return {}
    places = np.unravel_index(channel or 0, tuple(sizes.values()))
    return {axis: int(place) for axis, place in zip(sizes, places, strict=True)}


def _pixel_size(found: FoundImage, source: ImageSource, axes: str) -> tuple[list[float] | None, str | None]:
    if source.pixel_size_nm is not None:
        return list(source.pixel_size_nm), "request"
    if found.pixel_size_nm is None:
        return None, None
    rows, columns = found.pixel_size_nm
    swapped = axes.index("X") < axes.index("Y")  # the caller says that the file's rows are x
    return [columns, rows] if swapped else [rows, columns], "file"
