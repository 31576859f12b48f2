"""One service for all acceptance tests; they speak HTTP with it and nothing else."""

from collections.abc import Iterator

import httpx
import pytest

from tests.running_service import RunningService, running_service


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with the packaged models and default settings."""
    with running_service(tmp_path_factory.mktemp("acceptance") / "data") as running:
        yield running


@pytest.fixture
def http(service: RunningService) -> Iterator[httpx.Client]:
    """A client of the service."""
    with service.client() as client:
        yield client
