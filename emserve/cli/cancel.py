"""`emserve cancel`: ends jobs that are not wanted any more."""

from typing import Annotated

import typer

from emserve.cli.client_options import AsJson, Url
from emserve.cli.complaints import FAILED, complain
from emserve.client.client import Client
from emserve.client.errors import ApiError
from emserve.jobs import Job, JobStatus


def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of jobs.")],
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Stop jobs.

    Those that have ended stay as they are. With --json there is one job per line.
    """
    refused = False
    with Client(url) as client:
        for job_id in job_ids:
            try:
                job = client.cancel(job_id)
            except ApiError as error:
                complain(str(error))
                refused = True
            else:
                typer.echo(job.model_dump_json() if as_json else f"{job.id} {_outcome(job)}")
    if refused:
        raise typer.Exit(FAILED)


def _outcome(job: Job) -> str:
    if job.status in (JobStatus.SUCCEEDED, JobStatus.FAILED):
        return f"had ended already: {job.status}"
    return str(job.status)
