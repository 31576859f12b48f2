"""Two API processes on one data folder and one broker are one service."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.api_calls import read, submit, succeeded
from tests.integration.workshop import eventually
from tests.pictures import large_image
from tests.running_service import RunningService, another_api


@pytest.fixture
def other(service: RunningService) -> Iterator[httpx.Client]:
    """A client of a second API beside that of the service."""
    with another_api(service) as api, api.client() as client:
        yield client


def test_what_one_api_takes_the_other_knows_and_each_job_runs_once(
    http: httpx.Client, other: httpx.Client
) -> None:
    apis = (http, other)
    ids = [submit(apis[number % 2], large_image(256)) for number in range(4)]
    for number, job_id in enumerate(ids):
        assert succeeded(apis[(number + 1) % 2], job_id).attempt == 1

    first, *rest = ids
    assert other.delete(f"/v1/jobs/{first}").status_code == 204
    assert http.get(f"/v1/jobs/{first}").status_code == 410
    for api in apis:
        listed = {job["id"] for job in api.get("/v1/jobs", params={"page_size": 100}).json()["jobs"]}
        assert set(rest) <= listed
        assert first not in listed

    running = submit(http, large_image(2048))
    assert other.post(f"/v1/jobs/{running}/cancel").status_code == 202
    eventually(lambda: read(http, running).status == "cancelled", "its end")
