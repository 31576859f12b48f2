"""A workshop for all tests of workers, a service for all tests of the whole; each test leaves them whole."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from obstore.store import MemoryStore
from redis import Redis

from emserve import storage
from emserve.book import JobBook
from emserve.broker import EmbeddedBroker
from emserve.reconciler import Reconciler
from emserve.settings import Settings
from emserve.tickets import connect
from tests.integration.workshop import Worker, Workshop, open_workshop
from tests.running_service import RunningService, running_service


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A broker and a store without the API."""
    with open_workshop(tmp_path_factory.mktemp("workshop") / "data") as opened:
        yield opened


@pytest.fixture(scope="session")
def worker(workshop: Workshop) -> Iterator[Worker]:
    """A worker for all tests that need no other; each leaves it whole."""
    with workshop.worker() as hired:
        yield hired


@pytest.fixture(scope="session")
def vacant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Another workshop, where nobody works but whom a test hires."""
    with open_workshop(tmp_path_factory.mktemp("vacant") / "data") as opened:
        yield opened


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """`emserve up` with one warm worker."""
    folder = tmp_path_factory.mktemp("service") / "data"
    with running_service(folder, settings={"EMSERVE_WARM_MODELS": '["mitonet"]'}) as running:
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    """A client of the service."""
    with service.client() as client:
        yield client


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    """A broker that the tests of one file share."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("book") / "data")
    with EmbeddedBroker(settings), contextlib.closing(connect(settings.redis_url)) as client:
        yield client


@pytest.fixture(params=["local", "memory"])
def book(request: pytest.FixtureRequest, redis: Redis, tmp_path: Path) -> JobBook:
    """An empty book on each kind of store."""
    redis.flushall()
    local = storage.open_store((tmp_path / "store").as_uri())
    return JobBook(local if request.param == "local" else MemoryStore(), redis)


@pytest.fixture
def reconciler(book: JobBook) -> Reconciler:
    """A reconciler that has listed what is stored."""
    fresh = Reconciler(book)
    fresh.run_once()
    return fresh
