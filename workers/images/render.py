"""Renders a result of a job's attempt into a file in storage."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import obstore
from numpy.typing import NDArray
from obstore.store import ObjectStore

from emserve import storage
from emserve.errors import HelperDied
from emserve.ids import new_id
from emserve.imaging import Render, RenderedFile, ResultFormat
from emserve.scratch import scratch_folder
from emserve.storage import storage_errors
from workers.images.decode import decode
from workers.images.label_files import write_npy, write_png
from workers.images.label_map import LabelMap, open_labels
from workers.images.label_tiffs import write_imagej_tiff, write_ome_tiff
from workers.images.objects_file import Columns, read_objects, write_csv, write_json
from workers.images.preview import write_preview
from workers.images.sheet import Sheet
from workers.images.stored_file import open_stored


@dataclass(frozen=True)
class Attempt:
    """What an attempt left in storage."""

    store: ObjectStore
    request: Render

    def labels(self) -> LabelMap:
        prefix = storage.labels_prefix(self.request.job_id, self.request.execution_id)
        try:
            labels = open_labels(self.store, prefix)
        except FileNotFoundError as error:
            raise HelperDied(f"The label map ({prefix}) is not in storage.") from error
        if self.request.class_id is None:
            return labels
        return replace(labels, shown=_only(self.objects()["label"], self._all_objects(), labels.array.dtype))

    def objects(self) -> Columns:
        columns = self._all_objects()
        if self.request.class_id is None:
            return columns
        wanted = columns["class_id"] == self.request.class_id
        return {name: column[wanted] for name, column in columns.items()}

    def _all_objects(self) -> Columns:
        return read_objects(self.store, storage.objects_key(self.request.job_id, self.request.execution_id))


def render(store: ObjectStore, request: Render) -> RenderedFile:
    """Stores the file at `request.key`, then its description. The same attempt gives the same bytes.

    Raises NotAcceptable when the format cannot hold this result."""
    with scratch_folder(request.scratch_dir, f"render-{new_id()}") as folder:
        path = folder / request.format.filename
        _RENDERERS[request.format](Attempt(store, request), path)
        rendered = _description(request, path)
        with storage_errors():
            obstore.put(store, request.key, path)
    with storage_errors():
        obstore.put(store, request.description_key, rendered.model_dump_json().encode())
    return rendered


def _only(wanted: NDArray[Any], columns: Columns, dtype: np.dtype[Any]) -> NDArray[Any]:
    """(n + 1,) the labels that are wanted as themselves, the others as background."""
    shown = np.zeros(int(columns["label"].max(initial=0)) + 1, dtype)
    shown[wanted] = wanted
    return shown


def _description(request: Render, path: Path) -> RenderedFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return RenderedFile(
        key=request.key,
        bytes=path.stat().st_size,
        sha256=sha256,
        media_type=request.format.media_type,
        extension=request.format.extension,
    )


def _json(attempt: Attempt, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        write_json(attempt.objects(), file)


def _csv(attempt: Attempt, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        write_csv(attempt.objects(), file)


def _preview(attempt: Attempt, path: Path) -> None:
    with open_stored(attempt.store, storage.input_key(attempt.request.job_id)) as file:
        decoded = decode(file, attempt.request.source, path.with_name("grey.npy"))
    with Sheet.of_npy(decoded.path) as grey:
        write_preview(grey, attempt.labels(), path)


def _of_labels(write: Callable[[LabelMap, Path], None]) -> Callable[[Attempt, Path], None]:
    return lambda attempt, path: write(attempt.labels(), path)


_RENDERERS: dict[ResultFormat, Callable[[Attempt, Path], None]] = {
    ResultFormat.OME_TIFF: _of_labels(write_ome_tiff),
    ResultFormat.TIFF: _of_labels(write_imagej_tiff),
    ResultFormat.NPY: _of_labels(write_npy),
    ResultFormat.PNG: _of_labels(write_png),
    ResultFormat.JSON: _json,
    ResultFormat.CSV: _csv,
    ResultFormat.PREVIEW: _preview,
}
