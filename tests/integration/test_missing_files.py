"""Files of a job that are gone from storage, as after a backup that was not whole."""

import shutil

import httpx
import pytest

from emserve import storage
from tests.integration.api_calls import read, submit, succeeded
from tests.integration.workshop import eventually
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


def test_a_picture_whose_image_is_gone_is_a_problem_that_says_so(
    service: RunningService, http: httpx.Client
) -> None:
    job_id = succeeded(http, submit(http, phantom(side=64).image)).id
    (service.data_dir / "store" / storage.input_key(job_id)).unlink()
    answer = http.get(f"/v1/jobs/{job_id}/preview.png")
    assert answer.status_code == 500
    assert f"The job's input (jobs/{job_id}/input) is not in storage any more" in answer.json()["detail"]
    assert http.get(f"/v1/jobs/{job_id}/labels").status_code == 200


def test_a_job_whose_image_is_gone_before_it_runs_says_so(
    service: RunningService, http: httpx.Client
) -> None:
    worker = service.part("worker-cpu-1")
    worker.suspend()
    try:
        job_id = submit(http, phantom(side=64).image)
        (service.data_dir / "store" / storage.input_key(job_id)).unlink()
    finally:
        worker.resume()
    job = eventually(lambda: ended if (ended := read(http, job_id)).status.ended else None, "its end")
    assert job.error is not None
    assert f"The job's input (jobs/{job_id}/input) is not in storage any more" in job.error.detail
