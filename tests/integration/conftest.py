"""A workshop for all tests of workers, a service for all tests of the whole; each test leaves them whole."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.workshop import Worker, Workshop, open_workshop
from tests.running_service import RunningService, running_service


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A broker and a store without the API."""
    with open_workshop(tmp_path_factory.mktemp("workshop") / "data") as opened:
        yield opened


@pytest.fixture(scope="module")
def worker(workshop: Workshop) -> Iterator[Worker]:
    """A worker that the tests of one file share."""
    with workshop.worker() as hired:
        yield hired


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
