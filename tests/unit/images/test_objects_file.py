"""Objects' measures: stored as columns, shown as JSON and CSV."""

import csv
import io
import json

import numpy as np
import pytest
from obstore.store import LocalStore, MemoryStore

from emserve.errors import HelperDied
from workers.images.objects_file import Columns, read_objects, write_csv, write_json, write_objects

COLUMNS: Columns = {
    "label": np.array([1, 2, 3], np.uint32),
    "class": np.array(["mito", "nucleus, large", "µ"]),
    "file": np.array([2**53 - 1, 0, -5], np.int64),
    "area_nm2": np.array([12.345678901, np.nan, np.inf]),
    "score": np.array([0.1, 1 / 3, 1e-9], np.float32),
}
EMPTY: Columns = {name: column[:0] for name, column in COLUMNS.items()}


def test_columns_come_back_in_their_order_and_types() -> None:
    store = MemoryStore()
    for columns in (COLUMNS, EMPTY):
        write_objects(store, "jobs/j/objects.npz", columns)
        back = read_objects(store, "jobs/j/objects.npz")
        assert list(back) == list(COLUMNS)
        for name, column in columns.items():
            assert back[name].dtype == column.dtype
            np.testing.assert_array_equal(back[name], column)


def test_json_has_a_row_per_object() -> None:
    file = io.StringIO()
    write_json(COLUMNS, file)
    value = json.loads(file.getvalue())
    assert value["count"] == 3
    first, second, third = value["objects"]
    assert list(first) == list(COLUMNS)
    assert first == {"label": 1, "class": "mito", "file": 2**53 - 1, "area_nm2": 12.3457, "score": 0.1}
    assert (second["area_nm2"], third["area_nm2"]) == (None, None)
    assert second["score"] == 0.333333
    assert isinstance(first["label"], int)


def test_csv_has_a_header_and_a_row_per_object() -> None:
    file = io.StringIO()
    write_csv(COLUMNS, file)
    header, *rows = list(csv.reader(io.StringIO(file.getvalue())))
    assert header == list(COLUMNS)
    assert rows[0] == ["1", "mito", str(2**53 - 1), "12.3457", "0.1"]
    assert rows[1][1] == "nucleus, large"
    assert (rows[1][3], rows[2][3]) == ("", "")


@pytest.mark.parametrize("columns", [EMPTY, {}])
def test_no_objects_are_an_empty_list(columns: Columns) -> None:
    file = io.StringIO()
    write_json(columns, file)
    assert json.loads(file.getvalue()) == {"count": 0, "objects": []}


def test_what_cannot_be_columns_is_refused(store: LocalStore) -> None:
    with pytest.raises(ValueError, match="a 1, b 2"):
        write_objects(store, "objects.npz", {"a": np.zeros(1), "b": np.zeros(2)})
    with pytest.raises(ValueError, match="Python objects: a"):
        write_objects(store, "objects.npz", {"a": np.array([object()])})


def test_lost_measures_are_the_services_fault(store: LocalStore) -> None:
    with pytest.raises(HelperDied):
        read_objects(store, "objects.npz")
