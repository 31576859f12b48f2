"""The objects' measures in storage: columns of one .npz; and the same as JSON and CSV."""

import csv
import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

import numpy as np
import obstore
from numpy.typing import NDArray
from obstore.store import ObjectStore

from emserve.errors import HelperDied
from emserve.storage import read, storage_errors

Columns = Mapping[str, NDArray[Any]]
"""Column by name, in the order of presentation, all of one length: integers, floats or strings."""

_DIGITS = 6
_ROWS_AT_ONCE = 10_000


def write_objects(store: ObjectStore, key: str, columns: Columns) -> None:
    """Stores the columns at `key`. Raises ValueError when their lengths differ."""
    if len({len(column) for column in columns.values()}) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise ValueError(f"columns of different lengths: {lengths}")
    if objects := [name for name, column in columns.items() if column.dtype.hasobject]:
        raise ValueError(f"columns of Python objects: {', '.join(objects)}")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, column in columns.items():
            # Not np.savez: its own arguments would shadow columns of the same name.
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, column, allow_pickle=False)
    with storage_errors():
        obstore.put(store, key, buffer.getvalue())


def read_objects(store: ObjectStore, key: str) -> dict[str, NDArray[Any]]:
    """The columns at `key`, in the order in which they were written."""
    value = read(store, key)
    if value is None:
        raise HelperDied(f"The objects' measures ({key}) are not in storage.")
    with np.load(io.BytesIO(value), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def write_json(columns: Columns, file: TextIO) -> None:
    """`{"count": n, "objects": [{…}, …]}`; what is not a number is null."""
    file.write(f'{{"count": {_count(columns)}, "objects": [')
    for number, row in enumerate(_rows(columns)):
        file.write(",\n" if number else "\n")
        json.dump(dict(zip(columns, row, strict=True)), file, ensure_ascii=False, allow_nan=False)
    file.write("\n]}\n")


def write_csv(columns: Columns, file: TextIO) -> None:
    """A header row, then a row per object (RFC 4180); what is not a number is empty."""
    writer = csv.writer(file)
    writer.writerow(columns)
    writer.writerows(_rows(columns))


def _count(columns: Columns) -> int:
    return len(next(iter(columns.values()), ()))


def _rows(columns: Columns) -> Iterator[tuple[str | float | None, ...]]:
    for start in range(0, _count(columns), _ROWS_AT_ONCE):
        parts = [column[start : start + _ROWS_AT_ONCE].tolist() for column in columns.values()]
        for row in zip(*parts, strict=True):
            yield tuple(_shown(value) for value in row)


def _shown(value: str | float) -> str | float | None:
    if not isinstance(value, float):
        return value
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
