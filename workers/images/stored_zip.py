"""Everything that is stored under a prefix as one zip, object by object."""

import zipfile
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from emserve.storage import storage_errors


def write_zip(store: ObjectStore, prefix: str, path: Path) -> None:
    """Objects keep their names below the prefix, and are not packed again. The same objects give the same
    bytes."""
    inside = f"{prefix}/"
    with storage_errors(), zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        keys = sorted(each["path"] for batch in obstore.list(store, inside) for each in batch)
        # Readers look for the group's own metadata first.
        keys.sort(key=lambda key: key != f"{inside}zarr.json")
        for key in keys:
            value = bytes(obstore.get(store, key).bytes())
            archive.writestr(zipfile.ZipInfo(key.removeprefix(inside)), value)
