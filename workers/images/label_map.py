"""The label map in storage: an OME-Zarr (NGFF 0.5) image, of a volume with smaller copies."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from obstore.store import ObjectStore
from zarr.abc.buffer import Buffer
from zarr.codecs import ZstdCodec
from zarr.storage import ObjectStore as ZarrStore
from zarr.storage import WrapperStore

from emserve.storage import storage_errors
from workers.images.label_levels import CHUNK, Level, Shape, levels

__all__ = ["CHUNK", "ZSTD_LEVEL", "LabelMap", "create_labels", "label_dtype", "open_labels"]

ZSTD_LEVEL = 3
"""How chunks are packed: little-endian labels, then zstd."""

_NGFF_VERSION = "0.5"
Labels = NDArray[Any]  # uint8, uint16 or uint32


@dataclass(frozen=True)
class LabelMap:
    """A stored label map, or a part of one: background 0, objects from 1 (or classes, of a semantic map)."""

    array: zarr.Array[Any]
    """(Y, X) or (Z, Y, X). Reads and writes go to storage, by regions."""
    pixel_size_nm: tuple[float, ...] | None
    """Along each of its axes."""
    box: tuple[tuple[int, int], ...]
    """The part of the array that is meant: where it begins and ends along each axis."""
    is_slice: bool = False
    """Whether it is one slice of a volume, as an image."""
    copies: tuple[zarr.Array[Any], ...] = ()
    """Of one that was created just now: its smaller copies, to be written too (`LabelWriter`)."""
    shown: Labels | None = None
    """(n + 1,) what each label reads as, where not as itself: 0 for one that is left out."""

    @property
    def shape(self) -> Shape:
        sides = tuple(end - begin for begin, end in self.box)
        return sides[1:] if self.is_slice else sides

    @property
    def axes(self) -> str:
        return "ZYX"[-len(self.shape) :]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def within(self, box: tuple[tuple[int, int], ...], is_slice: bool = False) -> Self:
        """The part of it in `box`, which lies inside; `is_slice` of a box of one slice makes it an image."""
        outer = zip(self.box, box, strict=True)
        inner = tuple((whole[0] + begin, whole[0] + end) for whole, (begin, end) in outer)
        size = self.pixel_size_nm[1:] if is_slice and self.pixel_size_nm else self.pixel_size_nm
        return replace(self, box=inner, is_slice=is_slice, pixel_size_nm=size)

    def region(self, y0: int, y1: int, x0: int, x1: int) -> Labels:
        """Labels of rows y0 to y1 and columns x0 to x1 of an image, cut off at its edges."""
        (top, bottom), (left, right) = self.box[-2:]
        rows = slice(top + y0, min(top + y1, bottom))
        columns = slice(left + x0, min(left + x1, right))
        return self._read((*(begin for begin, _ in self.box[:-2]), rows, columns))

    def bands(self, lines: int | None = None) -> Iterator[tuple[int, Labels]]:
        """Bands of an image's rows or of a volume's slices from the first to the last, and where each begins:
        `lines` at once, or as many as lie in a chunk."""
        axis = 1 if self.is_slice else 0
        begin, end = self.box[axis]
        step = lines or self.array.chunks[axis]
        place = begin
        while place < end:
            until = min(end, place + step if lines else (place // step + 1) * step)
            index: list[int | slice] = [slice(*sides) for sides in self.box]
            index[axis] = slice(place, until)
            if self.is_slice:
                index[0] = self.box[0][0]
            yield place - begin, self._read(tuple(index))
            place = until

    def _read(self, index: tuple[int | slice, ...]) -> Labels:
        with storage_errors():
            stored = cast("Labels", self.array[index])
        return stored if self.shown is None else self.shown[stored]


class _Fenced(WrapperStore[ZarrStore[ObjectStore]]):
    """Writes only under a prefix: zarr would mark every folder above a group as a group, too."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        super().__init__(ZarrStore(store))
        self._inside = f"{prefix}/"

    async def set(self, key: str, value: Buffer) -> None:
        if key.startswith(self._inside):
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        if key.startswith(self._inside):
            await super().set_if_not_exists(key, value)


def label_dtype(largest: int) -> np.dtype[Any]:
    """The smallest of uint8, uint16, uint32 that holds labels up to `largest`."""
    for dtype in (np.uint8, np.uint16, np.uint32):
        if largest <= np.iinfo(dtype).max:
            return np.dtype(dtype)
    raise ValueError(f"{largest} objects do not fit into uint32")


def create_labels(
    store: ObjectStore, prefix: str, shape: Shape, dtype: DTypeLike, pixel_size_nm: tuple[float, ...] | None
) -> LabelMap:
    """An empty (all background) label map of `shape`, (Y, X) or (Z, Y, X), under `prefix`, to be written by
    regions; the smaller copies of a volume are `LabelWriter`'s to write."""
    planned = levels(shape, np.dtype(dtype).itemsize, pixel_size_nm)
    attributes = _attributes(planned, pixel_size_nm)
    with storage_errors():
        fenced = _Fenced(store, prefix)
        group = zarr.create_group(fenced, path=prefix, overwrite=True, attributes=attributes)
        arrays = [
            group.create_array(
                level.path,
                shape=level.shape,
                dtype=dtype,
                chunks=level.chunks,
                compressors=ZstdCodec(level=ZSTD_LEVEL),
                dimension_names=("z", "y", "x")[-len(shape) :],
                fill_value=0,
            )
            for level in planned
        ]
    return replace(_whole(arrays[0], pixel_size_nm), copies=tuple(arrays[1:]))


def open_labels(store: ObjectStore, prefix: str) -> LabelMap:
    """A stored label map, for reading. Raises FileNotFoundError where there is none."""
    group = _stored_group(store, prefix)
    array = None if group is None else group.get("0")
    if group is None or not isinstance(array, zarr.Array):
        raise FileNotFoundError(f"{prefix} holds no label map")
    return _whole(array, _stored_pixel_size(cast("dict[str, Any]", group.attrs["ome"])))


def _whole(array: zarr.Array[Any], pixel_size_nm: tuple[float, ...] | None) -> LabelMap:
    return LabelMap(array, pixel_size_nm, tuple((0, side) for side in array.shape))


def _stored_group(store: ObjectStore, prefix: str) -> zarr.Group | None:
    with storage_errors():
        try:
            return zarr.open_group(ZarrStore(store, read_only=True), path=prefix, mode="r")
        except FileNotFoundError:
            return None


def _attributes(planned: list[Level], pixel_size_nm: tuple[float, ...] | None) -> dict[str, Any]:
    unit = {"unit": "nanometer"} if pixel_size_nm else {}
    size = pixel_size_nm or (1.0,) * len(planned[0].shape)
    multiscale = {
        "name": "labels",
        "axes": [{"name": axis, "type": "space", **unit} for axis in "zyx"[-len(size) :]],
        "datasets": [
            {
                "path": level.path,
                "coordinateTransformations": [{"type": "scale", "scale": _scale(level, size)}],
            }
            for level in planned
        ],
    }
    return {
        "ome": {
            "version": _NGFF_VERSION,
            "multiscales": [multiscale],
            "image-label": {"version": _NGFF_VERSION},
        }
    }


def _scale(level: Level, size: tuple[float, ...]) -> list[float]:
    return [float(each) * step for each, step in zip(size, level.step, strict=True)]


def _stored_pixel_size(ome: dict[str, Any]) -> tuple[float, ...] | None:
    (multiscale,) = ome["multiscales"]
    if any(axis.get("unit") != "nanometer" for axis in multiscale["axes"]):
        return None
    return tuple(multiscale["datasets"][0]["coordinateTransformations"][0]["scale"])
