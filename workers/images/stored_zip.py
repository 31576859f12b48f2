"""Everything that is stored under a prefix as one zip, object by object."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from emserve.storage import storage_errors

Change = Callable[[str, bytes], bytes | None]
"""From an object's name and content to what the zip holds of it; None leaves it out."""


def write_zip(store: ObjectStore, prefix: str, path: Path, change: Change) -> None:
    """Objects keep their names below the prefix, and are not packed again. The same objects give the same
    bytes."""
    inside = f"{prefix}/"
    with storage_errors(), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        keys = sorted(each["path"] for batch in obstore.list(store, inside) for each in batch)
        # Readers look for the group's own metadata first.
        keys.sort(key=lambda key: key != f"{inside}zarr.json")
        for key in keys:
            name = key.removeprefix(inside)
            value = change(name, bytes(obstore.get(store, key).bytes()))
            if value is not None:
                archive.writestr(zipfile.ZipInfo(name), value)
