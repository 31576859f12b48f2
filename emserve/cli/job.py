"""`emserve job`: one job."""

from typing import Annotated

import typer

from emserve.cli.awaiting import leaving_jobs, watch
from emserve.cli.client_options import AsJson, Url
from emserve.cli.complaints import FAILED
from emserve.cli.consoles import stdout
from emserve.cli.job_view import job_page
from emserve.client.client import Client
from emserve.jobs import JobStatus


def job(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The job's id; `emserve jobs` lists them.")],
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until it has ended; code 1 if it failed.")
    ] = False,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Show one job."""
    with Client(url) as client:
        shown = client.job(job_id)
        if wait:
            with leaving_jobs(client, [shown]):
                shown = watch(client, shown)
    if as_json:
        typer.echo(shown.model_dump_json())
    else:
        stdout().print(job_page(shown, client.url))
    if wait and shown.status is not JobStatus.SUCCEEDED:
        raise typer.Exit(FAILED)
