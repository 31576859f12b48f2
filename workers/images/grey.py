"""Which grey image or volume of a file is meant, checked against what can be segmented."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emserve.errors import (
    FieldError,
    ImageTooLarge,
    InvalidRequest,
    UnreadableImage,
    UnsuitableImage,
    VolumeTooLarge,
)
from emserve.jobs import ImageHeader, ImageSource, JobWarning
from emserve.params import COARSEST_NM, FINEST_NM
from workers.images.axes import CHANNELS, PLANE, SAMPLES, SLICES, TIMES, choose_axes

DTYPES = ("bool", "uint8", "uint16", "int16", "float32")


@dataclass(frozen=True)
class FoundImage:
    """What a file says of the array in it, before any choice is made."""

    format: str
    """tiff, mrc, png, jpeg, zarr or slices."""
    shape: tuple[int, ...]
    axes: str
    """A letter for each of `shape`: Y, X, Z (slices), C (channel), S (sample) or T (time); any other is an
    axis that the file does not name."""
    dtype: str
    spacing_nm: Mapping[str, float] = field(default_factory=dict)
    """How far pixels are apart along an axis, by its letter, where the file says it."""


@dataclass(frozen=True)
class Limits:
    """The largest images that are taken."""

    max_pixels: int
    """Of an image, or of one slice of a volume."""
    max_voxels: int


@dataclass(frozen=True)
class GreyImage:
    """The one grey image or volume that is meant, and where in the file's array it lies."""

    header: ImageHeader
    axes: str
    """Axes of the file's array, the caller's correction applied."""
    index: dict[str, int]
    """The place of the image on every axis but Y and X; of a volume, of its first slice."""

    @property
    def is_turned(self) -> bool:
        """Whether rows of the file are columns of the image."""
        return self.axes.index("X") < self.axes.index("Y")

    @property
    def is_volume(self) -> bool:
        return self.header.is_volume

    def slice(self, z: int) -> Self:
        """Slice z of a volume, as an image."""
        header = self.header.model_copy(update={"shape": self.header.shape[-2:], "axes": PLANE})
        return replace(self, header=header, index={**self.index, SLICES: z})

    def of(self, array: NDArray[Any], axes: str) -> NDArray[Any]:
        """The image in an array with these of the file's axes: (Y, X), or (X, Y) where it is turned."""
        return array[tuple(self.index.get(axis, slice(None)) for axis in axes)]

    def of_bands(self, bands: Iterable[NDArray[Any]], axes: str) -> Iterator[NDArray[Any]]:
        """The same, of an array that comes by bands along the first of its axes."""
        if axes[0] in PLANE:
            yield from (self.of(band, axes) for band in bands)
            return
        begin, wanted = 0, self.index[axes[0]]
        for band in bands:
            if begin <= wanted < begin + len(band):
                yield self.of(band[wanted - begin], axes[1:])
            begin += len(band)


def choose(found: FoundImage, source: ImageSource, limits: Limits | None = None) -> GreyImage:
    """The grey image or volume that `source` means. Raises InvalidRequest, UnsuitableImage, UnreadableImage,
    ImageTooLarge or VolumeTooLarge."""
    axes, assumed = choose_axes(found.axes, found.shape, source.axes)
    sizes = dict(zip(axes, found.shape, strict=True))
    index = dict.fromkeys(axes.replace("Y", "").replace("X", ""), 0)
    _require_choice(sizes, source)
    index |= _place(sizes, CHANNELS, "channel", source.channel)
    index |= _place(sizes, TIMES, "time", source.time)
    if found.dtype not in DTYPES:
        raise UnsuitableImage(
            f"The image's data type is {found.dtype}; this server takes {', '.join(DTYPES)}. "
            "Convert the image to one of them."
        )
    shape = _shape(sizes, limits)
    letters = PLANE if len(shape) == len(PLANE) else SLICES + PLANE
    # What no pixel can be is a wrong unit or a slip, and worth no more than nothing.
    told = {axis: size for axis, size in found.spacing_nm.items() if FINEST_NM <= size <= COARSEST_NM}
    in_file = dict(zip(axes, (told.get(axis) for axis in found.axes), strict=True))
    in_file[SLICES] = in_file.get(SLICES) or told.get(SLICES)  # of an axis that has no name
    pixel_size, said_by, doubts = _pixel_size([in_file[axis] for axis in letters], source)
    header = ImageHeader(
        format=found.format,
        shape=shape,
        axes=letters,
        dtype=found.dtype,
        pixel_size_nm=pixel_size,
        pixel_size_source=said_by,
        channel=source.channel if _count(sizes, CHANNELS) > 1 else None,
        time=source.time if _count(sizes, TIMES) > 1 else None,
        warnings=[*assumed, *doubts],
    )
    return GreyImage(header, axes, index)


def _count(sizes: dict[str, int], axes: str) -> int:
    return prod(size for axis, size in sizes.items() if axis in axes)


def _require_choice(sizes: dict[str, int], source: ImageSource) -> None:
    """Of several channels or times none is taken that the caller did not say."""
    given = {"channel": (CHANNELS, source.channel), "time": (TIMES, source.time)}
    open_ = {
        name: count
        for name, (axes, choice) in given.items()
        if choice is None and (count := _count(sizes, axes)) > 1
    }
    if not open_:
        return
    several = " and ".join(f"{count} {name}s" for name, count in open_.items())
    detail = (
        f"The image has {several} and a grey image or volume is needed: say which one it is "
        f'(`"params": {json.dumps(dict.fromkeys(open_, 0))}`)'
    )
    if SAMPLES in sizes:
        detail += ", or convert the image to grey"
    if len(sizes) == len(PLANE) + 1 and next(iter(sizes)) not in PLANE:
        detail += ' or, if these are the slices of a volume, name the axes (`"params": {"axes": "ZYX"}`)'
    detail += "."
    raise UnsuitableImage(detail, errors=[FieldError(f"/params/{name}", detail) for name in open_])


def _place(sizes: dict[str, int], axes: str, name: str, given: int | None) -> dict[str, int]:
    """The place on each of `axes` that the parameter `name` chooses; the first where there is but one."""
    count = _count(sizes, axes)
    if given is not None and given >= count:
        remedy = f"choose 0 to {count - 1}" if count > 1 else "leave it away"
        detail = f"`{name}` is {given}, and the image has {count}: {remedy}."
        raise InvalidRequest(detail, errors=[FieldError(f"/params/{name}", detail)])
    own = {axis: size for axis, size in sizes.items() if axis in axes}
    places = np.unravel_index(given or 0, tuple(own.values())) if own else ()
    return {axis: int(place) for axis, place in zip(own, places, strict=True)}


def _shape(sizes: dict[str, int], limits: Limits | None) -> list[int]:
    """Of the image or, where there are several slices, of the volume."""
    height, width, slices = sizes["Y"], sizes["X"], sizes.get(SLICES, 1)
    shape = [height, width] if slices == 1 else [slices, height, width]
    if min(shape) < 1:
        sides = " x ".join(map(str, shape))
        raise UnreadableImage(f"The file speaks of {sides} pixels: save the image again.")
    if limits is not None:
        if slices > 1 and prod(shape) > limits.max_voxels:
            raise VolumeTooLarge(prod(shape), limits.max_voxels)
        if height * width > limits.max_pixels:
            raise ImageTooLarge(height * width, limits.max_pixels)
    return shape


def _pixel_size(
    in_file: list[float | None], source: ImageSource
) -> tuple[list[float] | None, str | None, list[JobWarning]]:
    """Of each axis; who says it; and what is missing of it."""
    given = source.pixel_size_nm
    if given is not None:
        if len(given) != len(in_file):
            order = (
                "height and width" if len(in_file) == len(PLANE) else "distance of slices, height and width"
            )
            detail = f"`pixel_size_nm` has {len(given)} values and needs {len(in_file)}: {order}."
            raise InvalidRequest(detail, errors=[FieldError("/params/pixel_size_nm", detail)])
        return list(given), "request", []
    known = [size for size in in_file if size is not None]
    if len(known) == len(in_file):
        return known, "file", []
    return None, None, [_HALF_KNOWN] if len(known) == len(PLANE) and len(in_file) > len(PLANE) else []


_HALF_KNOWN = JobWarning(
    code="slice-distance-unknown",
    detail="The file says how large a pixel is and not how far slices are apart, so there are no measures in "
    "nm. Give `pixel_size_nm` with three values: distance of slices, height and width.",
)
