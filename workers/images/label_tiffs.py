"""Writes a label map as a TIFF: OME-TIFF for everyone, ImageJ's own for ImageJ."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np
import tifffile
from numpy.typing import NDArray

from emserve.errors import NotAcceptable
from workers.images.label_map import LabelMap
from workers.images.sheet import Sheet

_TILE = 512
_LARGE_SIDE = 4096  # from here on viewers want a pyramid
_TOP_SIDE = 1024
_IMAGEJ_BYTES = 4 * 1024**3 - 1024**2
_NAME = "labels"
# A name of the file's contents would have to be known before they are; the same for all is enough here.
_UUID = str(uuid5(NAMESPACE_URL, "urn:emserve:labels"))


def write_ome_tiff(labels: LabelMap, path: Path) -> None:
    """Tiles of 512 x 512, zlib, axes YX or ZYX, physical size in nm where it is known; a pyramid of
    subsampled copies when a side of the image, or of the slices, is longer than 4096."""
    steps = _pyramid_steps(labels.shape[-2:])
    metadata: dict[str, Any] = {"axes": labels.axes, "Name": _NAME, "UUID": _UUID}
    if labels.pixel_size_nm:
        for axis, size in zip(labels.axes, labels.pixel_size_nm, strict=True):
            metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": "nm"}
    big = labels.nbytes > 2**31
    with tifffile.TiffWriter(path, ome=True, bigtiff=big) as writer:
        _write_level(writer, labels, 1, subifds=len(steps), metadata=metadata)
        for step in steps:
            _write_level(writer, labels, step, subfiletype=1, metadata=None)


def _write_level(writer: tifffile.TiffWriter, labels: LabelMap, step: int, **options: Any) -> None:
    writer.write(
        _tiles(labels, step) if labels.axes == "YX" else _tiles_of_slices(labels, step),
        shape=(*labels.shape[:-2], *(-(-side // step) for side in labels.shape[-2:])),
        dtype=labels.dtype,
        tile=(_TILE, _TILE),
        photometric="minisblack",
        compression="zlib",
        maxworkers=1,
        software="emserve",
        **options,
    )


def _pyramid_steps(shape: tuple[int, ...]) -> list[int]:
    """By how much each smaller copy is subsampled."""
    if max(shape) <= _LARGE_SIDE:
        return []
    steps = [2]
    while max(shape) / steps[-1] > _TOP_SIDE:
        steps.append(steps[-1] * 2)
    return steps


def _tiles(labels: LabelMap, step: int) -> Iterator[NDArray[Any]]:
    """The tiles of a level, row by row, padded with background to their full size."""
    height, width = labels.shape
    span = _TILE * step
    for y0 in range(0, height, span):
        for x0 in range(0, width, span):
            yield _tile(labels, y0, x0, step)


def _tiles_of_slices(labels: LabelMap, step: int) -> Iterator[NDArray[Any]]:
    """The same of a volume, slice after slice; a chunk's thickness of them is held."""
    for _, slab in labels.bands():
        for whole in slab:
            plane = whole[::step, ::step]
            for y0 in range(0, plane.shape[0], _TILE):
                for x0 in range(0, plane.shape[1], _TILE):
                    part = plane[y0 : y0 + _TILE, x0 : x0 + _TILE]
                    tile = np.zeros((_TILE, _TILE), labels.dtype)
                    tile[: part.shape[0], : part.shape[1]] = part
                    yield tile


def _tile(labels: LabelMap, y0: int, x0: int, step: int) -> NDArray[Any]:
    tile = np.zeros((_TILE, _TILE), labels.dtype)
    for row in range(0, _TILE, rows := max(1, _TILE // step)):  # a band of chunks at a time: little memory
        top = y0 + row * step
        part = labels.region(top, top + rows * step, x0, x0 + _TILE * step)[::step, ::step]
        tile[row : row + part.shape[0], : part.shape[1]] = part
    return tile


def write_imagej_tiff(labels: LabelMap, path: Path) -> None:
    """Uncompressed, as ImageJ opens it, with its unit nm where the pixel size is known. Raises
    NotAcceptable for what ImageJ has no room for."""
    _refuse_what_imagej_cannot_hold(labels)
    size = labels.pixel_size_nm
    metadata: dict[str, Any] = {"axes": labels.axes}
    options: dict[str, Any] = {"metadata": metadata}
    if size:
        metadata |= {"unit": "nm"} | ({"spacing": size[0]} if labels.axes == "ZYX" else {})
        # x before y, pixels per unit
        options["resolution"] = tuple(_rational(1 / each) for each in reversed(size[-2:]))
        options["resolutionunit"] = "NONE"
    dtype = labels.dtype.newbyteorder(">")
    tifffile.imwrite(path, shape=labels.shape, dtype=dtype, imagej=True, byteorder=">", **options)
    with tifffile.TiffFile(path) as file:
        begin = file.pages.first.dataoffsets[0]
    with Sheet(path, labels.shape, dtype, begin) as sheet:
        for place, band in labels.bands():
            sheet.write(place, band)


def _rational(value: float) -> tuple[int, int]:
    fraction = Fraction(value).limit_denominator(1_000_000)
    return fraction.numerator, fraction.denominator


def _refuse_what_imagej_cannot_hold(labels: LabelMap) -> None:
    if labels.dtype == np.uint32:
        raise NotAcceptable(
            "The label map has more than 65535 objects, the most that an ImageJ TIFF of 16 bits can tell "
            "apart: take ome-tiff or npy."
        )
    if labels.nbytes > _IMAGEJ_BYTES:
        raise NotAcceptable(
            f"The label map has {labels.nbytes} bytes and an ImageJ TIFF holds at most {_IMAGEJ_BYTES}"
            ": take ome-tiff or npy."
        )
