"""The label map in storage: an OME-Zarr (NGFF 0.5) image with one level."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import zarr
from numpy.typing import DTypeLike, NDArray
from obstore.store import ObjectStore
from zarr.abc.buffer import Buffer
from zarr.codecs import ZstdCodec
from zarr.storage import ObjectStore as ZarrStore
from zarr.storage import WrapperStore

from emserve.storage import storage_errors

CHUNK = 512
_LEVEL = "0"
_NGFF_VERSION = "0.5"


@dataclass(frozen=True)
class LabelMap:
    """A stored label map: background 0, objects from 1 (or classes, of a semantic map)."""

    array: zarr.Array[Any]
    """Y, X; uint8, uint16 or uint32. Reads and writes go to storage, by regions."""
    pixel_size_nm: tuple[float, float] | None
    """Of rows and columns."""
    shown: NDArray[Any] | None = None
    """(n + 1,) what each label reads as, where not as itself: 0 for one that is left out."""

    @property
    def shape(self) -> tuple[int, int]:
        height, width = self.array.shape
        return height, width

    def region(self, y0: int, y1: int, x0: int, x1: int) -> NDArray[Any]:
        """Labels of rows y0 to y1 and columns x0 to x1, cut off at the map's edges."""
        with storage_errors():
            stored = cast("NDArray[Any]", self.array[y0:y1, x0:x1])
        return stored if self.shown is None else self.shown[stored]

    def bands(self, rows: int = CHUNK) -> Iterator[tuple[int, NDArray[Any]]]:
        """First row and labels of each band of `rows` rows, from top to bottom."""
        for y0 in range(0, self.shape[0], rows):
            yield y0, self.region(y0, y0 + rows, 0, self.shape[1])


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
    store: ObjectStore,
    prefix: str,
    shape: tuple[int, int],
    dtype: DTypeLike,
    pixel_size_nm: tuple[float, float] | None,
) -> LabelMap:
    """An empty (all background) label map of `shape` (Y, X) under `prefix`, to be written by regions."""
    with storage_errors():
        group = zarr.create_group(
            _Fenced(store, prefix), path=prefix, overwrite=True, attributes=_attributes(pixel_size_nm)
        )
        array = group.create_array(
            _LEVEL,
            shape=shape,
            dtype=dtype,
            chunks=(min(CHUNK, shape[0]), min(CHUNK, shape[1])),
            compressors=ZstdCodec(level=3),
            dimension_names=("y", "x"),
            fill_value=0,
        )
    return LabelMap(array, pixel_size_nm)


def open_labels(store: ObjectStore, prefix: str) -> LabelMap:
    """A stored label map, for reading. Raises FileNotFoundError where there is none."""
    group = _stored_group(store, prefix)
    array = None if group is None else group.get(_LEVEL)
    if group is None or not isinstance(array, zarr.Array):
        raise FileNotFoundError(f"{prefix} holds no label map")
    return LabelMap(array, _stored_pixel_size(cast("dict[str, Any]", group.attrs["ome"])))


def _stored_group(store: ObjectStore, prefix: str) -> zarr.Group | None:
    with storage_errors():
        try:
            return zarr.open_group(ZarrStore(store, read_only=True), path=prefix, mode="r")
        except FileNotFoundError:
            return None


def _attributes(pixel_size_nm: tuple[float, float] | None) -> dict[str, Any]:
    unit = {"unit": "nanometer"} if pixel_size_nm else {}
    scale = {"type": "scale", "scale": [float(each) for each in pixel_size_nm or (1.0, 1.0)]}
    multiscale = {
        "name": "labels",
        "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
        "datasets": [{"path": _LEVEL, "coordinateTransformations": [scale]}],
    }
    return {
        "ome": {
            "version": _NGFF_VERSION,
            "multiscales": [multiscale],
            "image-label": {"version": _NGFF_VERSION},
        }
    }


def _stored_pixel_size(ome: dict[str, Any]) -> tuple[float, float] | None:
    (multiscale,) = ome["multiscales"]
    if any(axis.get("unit") != "nanometer" for axis in multiscale["axes"]):
        return None
    height, width = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"]
    return height, width
