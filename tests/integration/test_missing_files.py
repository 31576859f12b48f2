"""Files of a result that are gone from storage, as after a backup that was not whole."""

import shutil

import httpx
import pytest

from emserve import storage
from tests.integration.api_calls import submit, succeeded
from tests.pictures import phantom
from tests.running_service import RunningService


@pytest.mark.parametrize(
    ("part", "file"),
    [("labels", "labels.zarr"), ("objects", "objects.npz"), ("provenance", "provenance.json")],
)
def test_a_result_whose_file_is_gone_is_a_problem_that_names_it(
    service: RunningService, http: httpx.Client, part: str, file: str
) -> None:
    job_id = succeeded(http, submit(http, phantom(side=64).image)).id
    found = list((service.data_dir / "store" / storage.job_prefix(job_id)).glob(f"attempts/*/{file}"))
    assert len(found) == 1
    if found[0].is_dir():
        shutil.rmtree(found[0])
    else:
        found[0].unlink()
    answer = http.get(f"/v1/jobs/{job_id}/{part}")
    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:emserve:problem:helper-died"
    assert file in answer.json()["detail"]
    assert "not in storage" in answer.json()["detail"]
