"""Zips that tests make: slices, Zarrs, and what should not be in one."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import zarr
from numpy.typing import NDArray

from tests.pictures import tiff

Json = dict[str, Any]  # metadata, free-form by nature


def zip_of(files: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these files, their names as they are."""
    value = io.BytesIO()
    with zipfile.ZipFile(value, "w", compression) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)  # of no time, so that the same files give the same zip
            entry.compress_type = compression
            archive.writestr(entry, content)
    return value.getvalue()


def slices_of(volume: NDArray[Any], name: str = "cell_{}.tif", **options: Any) -> dict[str, bytes]:
    """A file for each slice of a volume (Z, Y, X), counted from 1."""
    return {name.format(number): tiff(plane, **options) for number, plane in enumerate(volume, 1)}


def ome(axes: str, scale: list[float] | None = None, unit: str | None = "nanometer") -> Json:
    """The multiscales of a Zarr of one level, as 0.4 and 0.5 have them."""
    kinds = {"t": "time", "c": "channel"}
    units = {} if unit is None else {"unit": unit}
    return {
        "multiscales": [
            {
                "version": "0.4",
                "axes": [
                    {"name": axis, "type": kinds.get(axis, "space"), **({} if axis in kinds else units)}
                    for axis in axes
                ],
                "datasets": [
                    {
                        "path": "0",
                        "coordinateTransformations": [{"type": "scale", "scale": scale or [1.0] * len(axes)}],
                    }
                ],
            }
        ]
    }


def zarr_files(
    array: NDArray[Any], attributes: Json, version: Literal[2, 3] = 3, name: str = "cell.zarr", **options: Any
) -> dict[str, bytes]:
    """The files of a Zarr group whose array "0" is `array`."""
    with TemporaryDirectory() as folder:
        root = Path(folder) / name
        given: Any = {"ome": {"version": "0.5", **attributes}} if version == 3 and attributes else attributes
        group = zarr.open_group(root, mode="w", zarr_format=version, attributes=given)
        options = {"chunks": tuple(min(20, side) for side in array.shape), **options}
        stored = group.create_array(
            "0", shape=array.shape, dtype=array.dtype, config={"write_empty_chunks": True}, **options
        )
        stored[...] = array
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
