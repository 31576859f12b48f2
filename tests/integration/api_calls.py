"""Jobs over HTTP, as tests of the whole service use them."""

from typing import Any

import httpx
from numpy.typing import NDArray

from emserve.jobs import Job, JobStatus
from tests.integration.workshop import PATIENCE_SECONDS, eventually
from tests.pictures import tiff


def submit(http: httpx.Client, image: NDArray[Any], model: str = "mitonet") -> str:
    """Uploads `image` for the packaged model, or another; the job's id."""
    file = tiff(image, compression="zlib")
    answer = http.post("/v1/jobs", files={"image": ("cell.tif", file)}, data={"model": model})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def read(http: httpx.Client, job_id: str) -> Job:
    answer = http.get(f"/v1/jobs/{job_id}")
    assert answer.status_code == 200, answer.text
    return Job.model_validate(answer.json())


def runs(http: httpx.Client, job_id: str) -> Job:
    """The job as soon as its network runs."""

    def look() -> Job | None:
        job = read(http, job_id)
        return job if job.stage == "infer" else None

    return eventually(look, "the job at the network")


def succeeded(http: httpx.Client, job_id: str, seconds: float = PATIENCE_SECONDS) -> Job:
    """The job as soon as it has ended, which must be well."""

    def look() -> Job | None:
        job = read(http, job_id)
        return job if job.status.ended else None

    job = eventually(look, "the job's end", seconds)
    assert job.status is JobStatus.SUCCEEDED, job.error
    return job
