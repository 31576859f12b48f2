"""Jobs watched from a terminal until they end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import typer

from emserve.cli.client_options import url_hint
from emserve.cli.complaints import INTERRUPTED
from emserve.cli.consoles import stderr, warn
from emserve.cli.progress import job_progress
from emserve.client.client import Client
from emserve.jobs import Job


def show_warnings(job: Job, image: str) -> None:
    """What the service warned of when it accepted the job of `image`, on stderr."""
    for warning in job.warnings:
        warn(f"{image}: {warning.detail}")


def watch(client: Client, job: Job) -> Job:
    """The job once it has ended, its progress shown on stderr until then."""
    if job.status.ended:
        return job
    with job_progress(stderr(), job.input.filename) as on_progress:
        return client.wait(job.id, on_progress=on_progress)


@contextmanager
def leaving_jobs(client: Client, jobs: Sequence[Job]) -> Iterator[None]:
    """Ctrl-C in the block ends the command, not these jobs, and says so."""
    try:
        yield
    except KeyboardInterrupt as error:
        if jobs:
            warn(f"\n{_how_to_go_on(jobs, url_hint(client.url))}")
        raise typer.Exit(INTERRUPTED) from error


def _how_to_go_on(jobs: Sequence[Job], at: str) -> str:
    ids = " ".join(job.id for job in jobs)
    if len(jobs) == 1:
        text = f"The job goes on. Watch it with `emserve job {ids} --wait{at}`, end it with"
    else:
        text = "The jobs go on, those that have not ended. End them with"
    return f"{text} `emserve cancel {ids}{at}`."
