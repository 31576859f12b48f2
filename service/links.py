"""A job as it is answered: with links to what exists."""

from emserve.jobs import Job, JobStatus, Stage

_RESULTS = {
    "labels": "labels",
    "labels_zarr": "labels.zarr",
    "objects": "objects",
    "preview": "preview.png",
    "provenance": "provenance",
}


def job_path(job_id: str) -> str:
    return f"/v1/jobs/{job_id}"


def linked(job: Job) -> Job:
    """`job` with its links."""
    path = job_path(job.id)
    links = {"self": path}
    if job.status is JobStatus.SUCCEEDED:
        links |= {name: f"{path}/{part}" for name, part in _RESULTS.items()}
    elif not job.status.ended:
        links["cancel"] = f"{path}/cancel"
        if job.stage is Stage.WRITE:  # what is written can be read
            links["labels_zarr"] = f"{path}/{_RESULTS['labels_zarr']}"
    return job.model_copy(update={"links": links})
