"""Names of files: what images are called, and what is named after them."""

import re
from collections.abc import Iterable
from pathlib import PurePath

IMAGE_SUFFIXES = (".tif", ".tiff", ".mrc", ".png", ".jpg", ".jpeg")
"""Ends of names that are images, or slices of a volume, by themselves."""
ZARR_ROOT_FILES = ("zarr.json", ".zgroup", ".zarray")
"""A folder that holds one of them is a node of a Zarr."""
_FORMATS = (*IMAGE_SUFFIXES, ".npy", ".zip", ".zarr", ".zarr.zip")
_ENDINGS = re.compile(rf"(\.ome)?({'|'.join(map(re.escape, _FORMATS))})$", re.IGNORECASE)
_SHOWN = 8


def bare_name(filename: str) -> str:
    """A file's or folder's name without what says its format: `S17.001` of `S17.001.ome.tif`.

    Other dots are part of the name, which would not be told from others without what follows them; only one
    at its beginning would hide the file.
    """
    return _ENDINGS.sub("", PurePath(filename).name).lstrip(".") or "image"


def some_of(names: Iterable[object]) -> str:
    """As many names as anyone would read."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")
