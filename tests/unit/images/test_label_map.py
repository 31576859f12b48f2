"""The stored label map: NGFF 0.5, the smallest data type, written by regions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import obstore
import pytest
import zarr
from obstore.store import LocalStore, MemoryStore, ObjectStore
from ome_zarr_models.v05 import Image
from ome_zarr_models.v05.image_label import ImageLabel

from tests.stored_labels import write_labels
from workers.images.label_map import create_labels, label_dtype, open_labels

RANDOM = np.random.default_rng(0)


@pytest.fixture(params=["local", "memory"])
def any_store(request: pytest.FixtureRequest, store: LocalStore) -> ObjectStore:
    return store if request.param == "local" else MemoryStore()


@pytest.mark.parametrize("shape", [(1, 1), (512, 512), (700, 1300), (3, 2000)])
@pytest.mark.parametrize("pixel_size_nm", [None, (4.6, 5.0)])
def test_labels_come_back_as_they_were(
    any_store: ObjectStore, shape: tuple[int, int], pixel_size_nm: tuple[float, float] | None
) -> None:
    labels = RANDOM.integers(0, 1000, shape, dtype=np.uint32)
    write_labels(any_store, "jobs/j/labels.zarr", labels, pixel_size_nm)
    stored = open_labels(any_store, "jobs/j/labels.zarr")
    np.testing.assert_array_equal(stored.array[:], labels)
    assert stored.pixel_size_nm == pixel_size_nm
    assert stored.shape == shape
    bands = list(stored.bands())
    np.testing.assert_array_equal(np.concatenate([band for _, band in bands]), labels)


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [
        (0, "uint8"),
        (255, "uint8"),
        (256, "uint16"),
        (65_535, "uint16"),
        (65_536, "uint32"),
        (2**32 - 1, "uint32"),
    ],
)
def test_the_smallest_data_type_is_taken(store: LocalStore, largest: int, dtype: str) -> None:
    assert label_dtype(largest) == dtype
    labels = np.array([[0, largest]], np.uint32)
    write_labels(store, "labels.zarr", labels, None)
    stored = open_labels(store, "labels.zarr").array
    assert stored.dtype == dtype
    np.testing.assert_array_equal(stored[:], labels)


def test_more_labels_than_any_type_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="4294967296"):
        label_dtype(2**32)


def test_a_map_can_be_written_region_by_region(any_store: ObjectStore) -> None:
    labels = RANDOM.integers(0, 1000, (1100, 1300), dtype=np.uint16)
    written = create_labels(any_store, "labels.zarr", (1100, 1300), np.uint16, None)
    for y0 in range(0, 1100, 300):
        for x0 in range(0, 1300, 500):
            written.array[y0 : y0 + 300, x0 : x0 + 500] = labels[y0 : y0 + 300, x0 : x0 + 500]
    stored = open_labels(any_store, "labels.zarr")
    np.testing.assert_array_equal(stored.array[:], labels)
    np.testing.assert_array_equal(stored.region(600, 700, 1250, 1400), labels[600:700, 1250:1300])


@pytest.mark.parametrize("pixel_size_nm", [None, (4.6, 5.0)])
@pytest.mark.parametrize("kind", [Image, ImageLabel])
def test_it_is_a_valid_ome_zarr(
    store: LocalStore,
    folder: Path,
    kind: type[Image] | type[ImageLabel],
    pixel_size_nm: tuple[float, float] | None,
) -> None:
    write_labels(store, "labels.zarr", np.ones((600, 700), np.uint8), pixel_size_nm)
    group = zarr.open_group(folder / "labels.zarr", mode="r")
    read: Callable[[zarr.Group], Image | ImageLabel] = kind.from_zarr
    image = read(group)
    (multiscale,) = image.ome_attributes.multiscales
    assert [axis.name for axis in multiscale.axes] == ["y", "x"]
    assert {axis.unit for axis in multiscale.axes} == ({"nanometer"} if pixel_size_nm else {None})
    array = group["0"]
    assert isinstance(array, zarr.Array)
    assert (array.metadata.zarr_format, array.chunks) == (3, (512, 512))


def test_no_map_is_not_found(any_store: ObjectStore) -> None:
    with pytest.raises(FileNotFoundError):
        open_labels(any_store, "nothing.zarr")


def test_nothing_is_written_outside_the_label_map(any_store: ObjectStore) -> None:
    write_labels(any_store, "jobs/j/labels.zarr", np.ones((4, 4), np.uint8), None)
    paths = [entry["path"] for batch in obstore.list(any_store) for entry in batch]
    assert paths
    assert all(path.startswith("jobs/j/labels.zarr/") for path in paths)
