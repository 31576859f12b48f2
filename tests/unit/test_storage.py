"""What we rely on of each kind of store."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore, ObjectStore

from emserve import storage
from emserve.errors import StorageUnavailable


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return storage.open_store((tmp_path / "store").as_uri()) if request.param == "local" else MemoryStore()


def test_of_many_who_create_at_once_one_wins(store: ObjectStore) -> None:
    def create(number: int) -> bool:
        return storage.create(store, "jobs/x/end.json", str(number).encode())

    for _ in range(5):
        with ThreadPoolExecutor(16) as threads:
            won = [number for number, created in enumerate(threads.map(create, range(16))) if created]
        assert len(won) == 1
        assert storage.read(store, "jobs/x/end.json") == str(won[0]).encode()
        obstore.delete(store, "jobs/x/end.json")


def test_what_is_not_there_reads_as_none(store: ObjectStore) -> None:
    assert storage.read(store, "jobs/x/job.json") is None
    assert not storage.exists(store, "jobs/x/job.json")
    assert storage.children(store, "jobs") == []


def test_children_are_the_folders_right_below(store: ObjectStore) -> None:
    for key in ("jobs/a/job.json", "jobs/b/attempts/1/attempt.json", "jobs/file", "jobsore/c/x"):
        obstore.put(store, key, b"x")
    assert sorted(storage.children(store, "jobs")) == ["a", "b"]


def test_removing_a_job_removes_nothing_of_its_neighbour(store: ObjectStore) -> None:
    for key in ("jobs/a/job.json", "jobs/a/attempts/1/labels.zarr/0/c/0/0", "jobs/ab/job.json"):
        obstore.put(store, key, b"x")
    storage.remove_all(store, "jobs/a")
    assert not storage.exists(store, "jobs/a/job.json")
    assert storage.exists(store, "jobs/ab/job.json")
    assert storage.children(store, "jobs") == ["ab"]
    storage.remove_all(store, "jobs/a")


def test_a_store_that_cannot_be_written_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "jobs").write_bytes(b"a file where a folder should be")
    store = storage.open_store((tmp_path / "store").as_uri())
    with pytest.raises(StorageUnavailable):
        storage.create(store, "jobs/x/job.json", b"{}")


def test_a_reader_never_sees_half_an_object(tmp_path: Path) -> None:
    store = storage.open_store((tmp_path / "store").as_uri())
    big = [bytes([value]) * 3_000_000 for value in (1, 2)]

    def write(value: bytes) -> None:
        for _ in range(10):
            obstore.put(store, "key", value)

    obstore.put(store, "key", big[0])
    with ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(write, value) for value in big]
        while not all(each.done() for each in writing):
            assert storage.read(store, "key") in big


def test_the_largest_upload_fits_into_the_parts_that_s3_takes() -> None:
    far = MemoryStore()
    for size in (0, 1, 64 << 30, 1 << 42):
        assert storage.part_bytes(far, size) >= 5 << 20
        assert size <= 10_000 * storage.part_bytes(far, size)
