"""The forms that results come in, and which of them a file's name means."""

import os
from dataclasses import dataclass
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

_BY_CLASS: tuple[Part, ...] = ("labels", "objects")
_BY_SLICE: tuple[Part, ...] = ("labels", "preview")
_PATHS: dict[Part, str] = {part: part for part in _FORMATS} | {"preview": "preview.png"}


def format_of(part: Part, path: str | os.PathLike[str]) -> str | None:
    """The format that the extension of `path` means for `part`. Raises UnknownFormat."""
    _require(part)
    name = PurePath(path).name
    for extension, chosen in _FORMATS[part].items():
        if name.lower().endswith(extension):
            return chosen
    raise UnknownFormat(
        f"{name!r} names no format of {part}: its name ends in one of {', '.join(_FORMATS[part])}."
    )


@dataclass(frozen=True)
class Wanted:
    """A result, and the form that it is wanted in. Raises UnknownFormat for what no service has."""

    part: Part
    format: str | None = None
    """As the service names it; None where it knows one form only."""
    only_class: str | int | None = None
    """Name or id of the class whose objects are wanted; None for all."""
    z: int | None = None
    """Of a volume's labels or preview, the slice that is wanted; None for all."""

    def __post_init__(self) -> None:
        _require(self.part)
        if self.only_class is not None and self.part not in _BY_CLASS:
            raise UnknownFormat(f"The {self.part} is of all classes; only {' and '.join(_BY_CLASS)} are not.")
        if self.z is not None and self.part not in _BY_SLICE:
            raise UnknownFormat(f"The {self.part} is of all slices; only {' and '.join(_BY_SLICE)} are not.")

    @property
    def path(self) -> str:
        """The last step of the result's URL."""
        return _PATHS[self.part]

    def query(self) -> dict[str, str]:
        """The query of the result's URL."""
        values = {"format": self.format, "class": self.only_class, "z": self.z}
        return {name: str(value) for name, value in values.items() if value is not None}


def _require(part: str) -> None:
    if part not in _FORMATS:
        raise UnknownFormat(f"There is no result {part!r}; a job has {', '.join(_FORMATS)}.")
