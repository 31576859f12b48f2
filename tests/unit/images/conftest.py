"""What the tests of image files and results share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import LocalStore

from emserve.imaging_pool import ImagingPool


@pytest.fixture(scope="module")
def pool() -> Iterator[ImagingPool]:
    """Two real processes, with limits that nothing here reaches."""
    pool = ImagingPool(size=2, memory_bytes=4 * 1024**3, cpu_seconds=60)
    yield pool
    pool.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the storage's files lie."""
    path = tmp_path / "store"
    path.mkdir()
    return path


@pytest.fixture
def store(folder: Path) -> LocalStore:
    return LocalStore(folder, mkdir=True, automatic_cleanup=True)
