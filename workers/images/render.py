"""Renders a result of a job's attempt into a file in storage."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import obstore
from numpy.typing import NDArray
from obstore.store import ObjectStore

from emserve import storage
from emserve.errors import ChunkNotFound, HelperDied
from emserve.ids import new_id
from emserve.imaging import Render, RenderChunk, RenderedFile, Rendering, RenderPart, ResultFormat
from emserve.region import Region
from emserve.scratch import scratch_folder
from emserve.storage import part_bytes, storage_errors
from workers.images.decode import decode
from workers.images.label_chunks import shown_object
from workers.images.label_files import write_npy, write_png
from workers.images.label_map import LabelMap, open_labels
from workers.images.label_tiffs import write_imagej_tiff, write_ome_tiff
from workers.images.montage import write_montage
from workers.images.objects_file import Columns, read_objects, write_csv, write_json
from workers.images.preview import write_preview
from workers.images.sheet import Sheet
from workers.images.stored_file import open_input
from workers.images.stored_zip import write_zip


@dataclass(frozen=True)
class Attempt:
    """What an attempt left in storage."""

    store: ObjectStore
    request: Render

    def labels(self) -> LabelMap:
        return stored_labels(self.store, self.request)

    def montage(self) -> bytes:
        key = storage.montage_key(self.request.job_id, self.request.execution_id)
        value = storage.read(self.store, key)
        if value is None:
            raise HelperDied(f"The planes of the preview ({key}) are not in storage.")
        return value

    def objects(self) -> Columns:
        columns = stored_objects(self.store, self.request)
        if self.request.class_id is None:
            return columns
        wanted = columns["class_id"] == self.request.class_id
        return {name: column[wanted] for name, column in columns.items()}


def stored_labels(store: ObjectStore, request: Rendering) -> LabelMap:
    """The label map of an attempt, or what it shows of one class."""
    prefix = storage.labels_prefix(request.job_id, request.execution_id)
    try:
        labels = open_labels(store, prefix)
    except FileNotFoundError as error:
        raise HelperDied(f"The label map ({prefix}) is not in storage.") from error
    if request.class_id is None:
        return labels
    return replace(labels, shown=_only(request.class_id, stored_objects(store, request), labels.dtype))


def stored_objects(store: ObjectStore, request: Rendering) -> Columns:
    """A row for each object of an attempt."""
    return read_objects(store, storage.objects_key(request.job_id, request.execution_id))


def render(store: ObjectStore, request: Render) -> RenderedFile:
    """Stores the file at `request.key`, then its description. The same attempt gives the same bytes.

    Raises NotAcceptable when the format cannot hold this result."""
    with scratch_folder(request.scratch_dir, f"render-{new_id()}") as folder:
        path = folder / request.format.filename
        _RENDERERS[request.format](Attempt(store, request), path)
        rendered = _description(request.format, request.key, path)
        with storage_errors():
            obstore.put(store, request.key, path, chunk_size=part_bytes(store, path.stat().st_size))
    with storage_errors():
        obstore.put(store, request.description_key, rendered.model_dump_json().encode())
    return rendered


def _only(class_id: int, columns: Columns, dtype: np.dtype[Any]) -> NDArray[Any]:
    """(n + 1,) the labels of one class as themselves, the others as background."""
    shown = np.zeros(int(columns["label"].max(initial=0)) + 1, dtype)
    wanted = columns["label"][columns["class_id"] == class_id]
    shown[wanted] = wanted
    return shown


def render_part(store: ObjectStore, request: RenderPart) -> RenderedFile:
    """Writes the part to `request.out`; nothing is stored. Raises InvalidRequest for a part that is not
    inside the map, NotAcceptable when the format cannot hold it."""
    labels = stored_labels(store, request)
    part = labels.within(request.region.box(labels.shape), is_slice=request.region.z is not None)
    _OF_LABELS[request.format](part, request.out)
    return _description(request.format, "", request.out)


def render_chunk(store: ObjectStore, request: RenderChunk) -> RenderedFile:
    """Writes what an object of the Zarr holds of a class to `request.out`; nothing is stored. Raises
    ChunkNotFound where it holds nothing of it, or does not exist."""
    prefix = storage.labels_prefix(request.job_id, request.execution_id)
    stored = storage.read(store, f"{prefix}/{request.path}")
    value = None if stored is None else shown_object(stored_labels(store, request), request.path, stored)
    if value is None:
        raise ChunkNotFound(request.job_id, request.path)
    request.out.write_bytes(value)
    extension = request.out.suffix
    media_type = "application/json" if extension == ".json" else "application/octet-stream"
    return _file(request.out, "", media_type, extension)


def _description(wanted: ResultFormat, key: str, path: Path) -> RenderedFile:
    return _file(path, key, wanted.media_type, wanted.extension)


def _file(path: Path, key: str, media_type: str, extension: str) -> RenderedFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return RenderedFile(
        key=key, bytes=path.stat().st_size, sha256=sha256, media_type=media_type, extension=extension
    )


def _json(attempt: Attempt, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        write_json(attempt.objects(), file)


def _csv(attempt: Attempt, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_csv(attempt.objects(), file)


def _preview(attempt: Attempt, path: Path) -> None:
    labels, z = attempt.labels(), attempt.request.z
    if labels.axes == "ZYX" and z is None:
        write_montage(attempt.montage(), path)
        return
    if z is not None:
        labels = labels.within(Region(z=z).box(labels.shape), is_slice=True)
    with open_input(attempt.store, storage.input_key(attempt.request.job_id)) as file:
        decoded = decode(file, attempt.request.source, path.with_name("grey.npy"), z)
    with Sheet.of_npy(decoded.path) as grey:
        write_preview(grey, labels, path)


def _zarr(attempt: Attempt, path: Path) -> None:
    prefix = storage.labels_prefix(attempt.request.job_id, attempt.request.execution_id)
    write_zip(attempt.store, prefix, path, partial(shown_object, attempt.labels()))


def _labels(attempt: Attempt, path: Path) -> None:
    _OF_LABELS[attempt.request.format](attempt.labels(), path)


_OF_LABELS: dict[ResultFormat, Callable[[LabelMap, Path], None]] = {
    ResultFormat.OME_TIFF: write_ome_tiff,
    ResultFormat.TIFF: write_imagej_tiff,
    ResultFormat.NPY: write_npy,
    ResultFormat.PNG: write_png,
}
_RENDERERS: dict[ResultFormat, Callable[[Attempt, Path], None]] = {
    **dict.fromkeys(_OF_LABELS, _labels),
    ResultFormat.ZARR: _zarr,
    ResultFormat.JSON: _json,
    ResultFormat.CSV: _csv,
    ResultFormat.PREVIEW: _preview,
}
