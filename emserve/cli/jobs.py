"""`emserve jobs`: the list of jobs."""

import json
from typing import Annotated

import typer
from rich.text import Text

from emserve.cli.client_options import AsJson, Url
from emserve.cli.consoles import stderr, stdout
from emserve.cli.job_view import job_table
from emserve.client.client import Client
from emserve.jobs import JobStatus


def jobs(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs in this state.")] = None,
    model: Annotated[str | None, typer.Option(help="Only jobs of this model: NAME or NAME@VERSION.")] = None,
    tag: Annotated[str | None, typer.Option(metavar="KEY=VALUE", help="Only jobs with this tag.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """List jobs, newest first."""
    with Client(url) as client:
        found = list(client.jobs(status, model, _as_asked(tag), limit=limit))
    if as_json:
        typer.echo(json.dumps([job.model_dump(mode="json") for job in found]))
    elif found:
        stdout().print(job_table(found))
    else:
        stderr().print(Text("No jobs.", "dim"))


def _as_asked(tag: str | None) -> str | None:
    """`key=value`, as tags are given, in the form that the service asks for them: `key:value`."""
    return tag if tag is None or ":" in tag.partition("=")[0] else tag.replace("=", ":", 1)
