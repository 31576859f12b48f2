"""A job as it is answered: with links to what exists."""

from urllib.parse import quote

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
        links |= _class_links(job)
    elif not job.status.ended:
        links["cancel"] = f"{path}/cancel"
        if job.stage is Stage.WRITE:  # what is written can be read
            links["labels_zarr"] = f"{path}/{_RESULTS['labels_zarr']}"
    return job.model_copy(update={"links": links})


def _class_links(job: Job) -> dict[str, str]:
    """The label map of each class, where there are several."""
    names = job.result.classes.values() if job.result else ()
    if len(names) < 2:
        return {}
    return {f"labels:{name}": f"{job_path(job.id)}/labels?class={quote(name, safe='')}" for name in names}
