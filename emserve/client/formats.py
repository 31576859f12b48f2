"""The forms that results come in, and which of them a file's name means."""

import os
from pathlib import PurePath
from typing import Literal

from emserve.client.errors import UnknownFormat

Part = Literal["labels", "objects", "preview", "provenance"]

_FORMATS: dict[Part, dict[str, str | None]] = {
    "labels": {
        ".ome.tif": "ome-tiff",
        ".tif": "ome-tiff",
        ".tiff": "ome-tiff",
        ".npy": "npy",
        ".png": "png",
        ".zarr.zip": "zarr",
    },
    "objects": {".csv": "csv", ".json": "json"},
    "preview": {".png": None},
    "provenance": {".json": None},
}
"""By extension; None where the service knows one form only."""

_PATHS: dict[Part, str] = {part: part for part in _FORMATS} | {"preview": "preview.png"}


def format_of(part: Part, path: str | os.PathLike[str]) -> str | None:
    """The format that the extension of `path` means for `part`. Raises UnknownFormat."""
    name = PurePath(path).name
    for extension, chosen in _FORMATS[part].items():
        if name.lower().endswith(extension):
            return chosen
    raise UnknownFormat(
        f"{name!r} names no format of {part}: its name ends in one of {', '.join(_FORMATS[part])}."
    )


def part_path(part: Part) -> str:
    """The last step of the result's URL. Raises UnknownFormat for what is no result."""
    if part not in _PATHS:
        raise UnknownFormat(f"There is no result {part!r}; a job has {', '.join(_PATHS)}.")
    return _PATHS[part]
