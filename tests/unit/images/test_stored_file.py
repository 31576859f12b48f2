"""A stored object reads like a file, through ranges."""

import io
import zipfile
from typing import Any

import numpy as np
import obstore
import pytest
import tifffile
from obstore.exceptions import GenericError
from obstore.store import LocalStore, MemoryStore

from emserve.errors import StorageUnavailable
from emserve.jobs import ImageSource
from tests.decoded import grey_of
from workers.images.archive import Archive
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


def test_pages_of_a_stack_are_looked_for_once_however_often_it_is_opened(
    remote: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = np.random.default_rng(3).integers(0, 256, (40, 512, 600), dtype=np.uint8)
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for page in volume:
            writer.write(page, contiguous=False, metadata=None)
    obstore.put(remote, "stack", file.getvalue())
    fetched: list[int] = []
    get_range = obstore.get_range

    def counted(store: MemoryStore, path: str, *, start: int, end: int) -> obstore.Bytes:
        fetched.append(end - start)
        return get_range(store, path, start=start, end=end)

    monkeypatch.setattr(obstore, "get_range", counted)
    for most_requests, most_bytes in ((3 * len(volume), volume.nbytes / 4), (len(volume), volume.nbytes / 8)):
        fetched.clear()
        with open_stored(remote, "stack") as stored:
            assert inspect(stored, ImageSource()).shape == list(volume.shape)
        assert len(fetched) <= most_requests
        assert sum(fetched) <= most_bytes
    with open_stored(remote, "stack") as stored:
        assert stored.read() == file.getvalue()


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


def test_a_storage_that_goes_away_within_a_zip_is_not_the_zips_fault(
    remote: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("s1.tif", CONTENT)
    obstore.put(remote, "zip", file.getvalue())

    def away(*_: object, **__: object) -> bytes:
        raise GenericError("away")

    with open_stored(remote, "zip") as stored:
        opened = Archive(stored)
        monkeypatch.setattr(obstore, "get_range", away)
        with pytest.raises(StorageUnavailable):
            opened.read("s1.tif")
