"""What the metadata of a Zarr says of the image in it: OME-NGFF 0.4 and 0.5, or a bare array."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import PurePosixPath

import numpy as np

from emserve.errors import UnreadableImage, UnsuitableImage
from emserve.naming import IMAGE_SUFFIXES, ZARR_ROOT_FILES, some_of
from workers.images.archive import Archive
from workers.images.zarr_layout import Json, Layout, new_layout, old_layout

_NANOMETRES = {
    "picometer": 1e-3,
    "angstrom": 0.1,
    "nanometer": 1.0,
    "micrometer": 1e3,
    "millimeter": 1e6,
    "centimeter": 1e7,
    "meter": 1e9,
}
_LETTERS = {"z": "Z", "y": "Y", "x": "X", "c": "C", "t": "T"}
_UNNAMED = "Q"


@dataclass(frozen=True)
class Axis:
    """One axis, as the metadata describes it."""

    name: str = ""
    unit: str | None = None
    scale: float | None = None

    @property
    def letter(self) -> str:
        return _LETTERS.get(self.name.lower(), _UNNAMED)

    @property
    def spacing_nm(self) -> float | None:
        """How far pixels are apart; None where that is not said, or in no unit of length."""
        unit = _NANOMETRES.get(self.unit or "")
        if unit is None or self.scale is None or not isfinite(self.scale) or self.scale <= 0:
            return None
        return self.scale * unit


@dataclass(frozen=True)
class ZarrArray:
    """The highest resolution of the image in a Zarr."""

    path: PurePosixPath
    """In the archive."""
    shape: tuple[int, ...]
    axes: tuple[Axis, ...]
    dtype: str
    layout: Layout


def is_zarr(archive: Archive) -> bool:
    return any(PurePosixPath(name).name in ZARR_ROOT_FILES for name in archive.names)


def find_array(archive: Archive) -> ZarrArray:
    """The image's array. Raises UnreadableImage for metadata that is damaged, UnsuitableImage for what is no
    single image or is packed by codecs that are not accepted."""
    try:
        return _find(archive)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise UnreadableImage(
            f"The Zarr's metadata is damaged or incomplete ({type(error).__name__}: {str(error)[:100]}): "
            "save it again as OME-Zarr 0.4 or 0.5."
        ) from error


def _find(archive: Archive) -> ZarrArray:
    root = _root(archive)
    images = _images(archive, root)
    if len(images) > 1:
        raise UnsuitableImage(f"The Zarr holds {len(images)} images: {some_of(images)}. Send one of them.")
    for node, multiscales in images.items():
        dataset = multiscales[0]["datasets"][0]
        return _array(archive, node / dataset["path"], _axes(multiscales[0], dataset))
    if _array_metadata(archive, root) is not None:
        return _array(archive, root, [])
    raise UnsuitableImage(
        "The Zarr has no OME metadata (multiscales) that says which of its parts is the image: "
        f"{some_of(_parts(archive, root))}. Send one image as OME-Zarr 0.4 or 0.5, or one array."
    )


def _root(archive: Archive) -> PurePosixPath:
    """The Zarr's outermost node; what else is in the zip must be none that somebody might have meant."""
    nodes = {path.parent for path in map(PurePosixPath, archive.names) if path.name in ZARR_ROOT_FILES}
    roots = [node for node in nodes if nodes.isdisjoint(node.parents)]
    beside = [
        name
        for name in archive.names
        if name.lower().endswith(IMAGE_SUFFIXES) and not PurePosixPath(name).is_relative_to(roots[0])
    ]
    if len(roots) > 1 or beside:
        choices = [*sorted(map(str, roots)), *sorted(beside)]
        raise UnsuitableImage(
            f"The zip holds {len(choices)} images, at least one of them a Zarr: {some_of(choices)}. "
            "Send one of them."
        )
    return roots[0]


def _images(archive: Archive, root: PurePosixPath) -> dict[PurePosixPath, list[Json]]:
    """The multiscales of each image: the root's own, or those of its parts, as bioformats2raw writes them."""
    for nodes in ([root], [root / part for part in _parts(archive, root)]):
        found = {node: _multiscales(archive, node) for node in nodes}
        images = {node: multiscales for node, multiscales in found.items() if multiscales}
        if images:
            return images
    return {}


def _multiscales(archive: Archive, node: PurePosixPath) -> list[Json]:
    attributes = _attributes(archive, node)
    multiscales: list[Json] = attributes.get("ome", attributes).get("multiscales") or []
    return multiscales


def _parts(archive: Archive, root: PurePosixPath) -> list[str]:
    names = (PurePosixPath(name).relative_to(root).parts for name in archive.names)
    return sorted({first for first, *others in names if others}, key=lambda part: (len(part), part))


def _read(archive: Archive, path: PurePosixPath) -> Json | None:
    if str(path) not in archive:
        return None
    value: Json = json.loads(archive.read(str(path)))
    return value


def _attributes(archive: Archive, node: PurePosixPath) -> Json:
    meta = _read(archive, node / "zarr.json")
    if meta is not None:
        attributes: Json = meta.get("attributes", {})
        return attributes
    return _read(archive, node / ".zattrs") or {}


def _array_metadata(archive: Archive, node: PurePosixPath) -> Json | None:
    meta = _read(archive, node / "zarr.json")
    if meta is None:
        return _read(archive, node / ".zarray")
    return meta if meta["node_type"] == "array" else None


def _axes(multiscale: Json, dataset: Json) -> list[Axis]:
    """With the array's scale times that of all arrays; none where the metadata names no axes. Versions before
    0.4 say names alone."""
    steps = [*dataset.get("coordinateTransformations", ()), *multiscale.get("coordinateTransformations", ())]
    axes = multiscale.get("axes") or []
    scales = [step["scale"] for step in steps if step["type"] == "scale"] or [[None] * len(axes)]
    return [
        Axis(axis) if isinstance(axis, str) else Axis(str(axis["name"]), axis.get("unit"), _product(scale))
        for axis, scale in zip(axes, zip(*scales, strict=True), strict=True)
    ]


def _product(scales: Sequence[float | None]) -> float | None:
    known = [float(scale) for scale in scales if scale is not None]
    return prod(known) if known else None


def _array(archive: Archive, path: PurePosixPath, axes: list[Axis]) -> ZarrArray:
    meta = _array_metadata(archive, path)
    if meta is None:
        raise UnreadableImage(
            f"The Zarr speaks of an array {str(path)!r:.120} that is not in the zip: add it."
        )
    shape = tuple(meta["shape"])
    if not all(isinstance(side, int) for side in shape):
        raise UnreadableImage(
            f"The Zarr's shape is {shape!s:.120}, and whole numbers are wanted: save it again."
        )
    names = meta.get("dimension_names") or _attributes(archive, path).get("_ARRAY_DIMENSIONS") or shape
    axes = axes or [Axis(name) if isinstance(name, str) else Axis() for name in names]
    if len(axes) != len(shape):
        raise UnreadableImage(
            f"The Zarr names {len(axes)} axes ({', '.join(axis.name for axis in axes)}) and its array has "
            f"{len(shape)}: save it again."
        )
    is_old = "zarr_format" in meta and meta["zarr_format"] == 2
    dtype = np.dtype(meta["dtype"] if is_old else meta["data_type"]).name
    return ZarrArray(path, shape, tuple(axes), dtype, old_layout(meta) if is_old else new_layout(meta))
