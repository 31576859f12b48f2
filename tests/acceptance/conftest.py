"""One service for all acceptance tests; they speak HTTP with it and nothing else."""

import json
from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from tests.acceptance.exchange import Json, accepted, ended, post, run
from tests.pictures import phantom, tiff
from tests.running_service import RunningService, running_service

VIEWER = "https://viewer.example.org"


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with the packaged models and default settings, which lets the pages of VIEWER read."""
    settings = {"EMSERVE_ALLOWED_ORIGINS": json.dumps([VIEWER])}
    with running_service(tmp_path_factory.mktemp("acceptance") / "data", settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def http(service: RunningService) -> Iterator[httpx.Client]:
    """A client of the service."""
    with service.client() as client:
        yield client


@pytest.fixture(scope="session")
def cell() -> bytes:
    """An image of 256 x 256 pixels of 16 nm, as an OME-TIFF."""
    sizes = {
        f"PhysicalSize{axis}{part}": value for axis in "XY" for part, value in (("", 16.0), ("Unit", "nm"))
    }
    return tiff(phantom().image, ome=True, metadata={"axes": "YX", **sizes})


@pytest.fixture(scope="session")
def finished(http: httpx.Client, cell: bytes) -> Json:
    """A succeeded job of `cell`, for tests that only read."""
    return run(http, cell, tags={"sample_id": "S-17"})


@pytest.fixture(scope="session")
def failed(http: httpx.Client) -> Json:
    """A job that failed: its image holds a NaN, which only the worker sees."""
    image = phantom(side=64).image.astype(np.float32)
    image[3, 5] = np.nan
    headers = {"X-Request-ID": "of-the-failed-one"}
    return ended(http, accepted(post(http, tiff(image), headers, params={"intensity_range": "percentile"})))
