"""A stored object reads like a file, through ranges."""

import io
from typing import Any

import numpy as np
import obstore
import pytest
import tifffile
from obstore.store import LocalStore, MemoryStore

from emserve.jobs import ImageSource
from tests.decoded import grey_of
from workers.images.headers import inspect
from workers.images.stored_file import StoredFile, open_stored

CONTENT = np.random.default_rng(0).integers(0, 256, 5_000_123, dtype=np.uint8).tobytes()


@pytest.fixture
def remote() -> MemoryStore:
    store = MemoryStore()
    obstore.put(store, "folder/object", CONTENT)
    return store


def test_any_part_reads_as_it_was_stored(remote: MemoryStore) -> None:
    random = np.random.default_rng(1)
    with open_stored(remote, "folder/object") as file:
        for _ in range(200):
            start = int(random.integers(0, len(CONTENT)))
            length = int(random.choice([1, 7, 4096, 1 << 20, 3_000_000]))
            assert file.seek(start) == start
            assert file.read(length) == CONTENT[start : start + length]
            assert file.tell() == min(start + length, len(CONTENT))


def test_the_end_is_where_files_have_it(remote: MemoryStore) -> None:
    file = StoredFile(remote, "folder/object")
    assert file.seek(0, io.SEEK_END) == len(CONTENT)
    assert file.read(10) == b""
    assert file.seek(-3, io.SEEK_CUR) == len(CONTENT) - 3
    assert file.read() == CONTENT[-3:]
    assert file.seek(len(CONTENT) + 10) == len(CONTENT) + 10
    assert file.read(1) == b""
    with pytest.raises(ValueError, match="before"):
        file.seek(-1)


def test_what_is_not_there_is_not_found(remote: MemoryStore, store: LocalStore) -> None:
    for each in (remote, store):
        with pytest.raises(FileNotFoundError):
            open_stored(each, "nothing")


def test_images_are_read_through_ranges(remote: MemoryStore) -> None:
    image = np.random.default_rng(2).integers(0, 65536, (1500, 1700), dtype=np.uint16)
    kinds: list[dict[str, Any]] = [{}, {"tile": (256, 256), "compression": "zlib"}]
    for options in kinds:
        file = io.BytesIO()
        tifffile.imwrite(file, image, **options)
        obstore.put(remote, "image", file.getvalue())
        with open_stored(remote, "image") as stored:
            assert inspect(stored, ImageSource()).shape == [1500, 1700]
            np.testing.assert_array_equal(grey_of(stored, ImageSource()), image)
