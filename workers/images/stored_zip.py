"""Everything that is stored under a prefix as one zip, object by object."""

import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from emserve.storage import storage_errors

_AT_A_TIME = 8
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
        for key, content in _contents(store, keys):
            name = key.removeprefix(inside)
            value = change(name, content)
            if value is not None:
                archive.writestr(zipfile.ZipInfo(name), value)


def _contents(store: ObjectStore, keys: list[str]) -> Iterator[tuple[str, bytes]]:
    """Each key and what is stored there, a few fetched at a time: they are many, small, and far away."""
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        for start in range(0, len(keys), _AT_A_TIME):
            some = keys[start : start + _AT_A_TIME]
            yield from zip(
                some, threads.map(lambda key: bytes(obstore.get(store, key).bytes()), some), strict=True
            )
