"""`emserve delete`: removes jobs, with their images and results."""

from typing import Annotated

import typer

from emserve.cli.client_options import Url
from emserve.cli.complaints import FAILED, complain
from emserve.client.client import Client
from emserve.client.errors import ApiError


def delete(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Ids of jobs.")],
    url: Url = None,
) -> None:
    """Delete jobs, with their images and results.

    Those that have not ended are stopped first. There is no way back.
    """
    refused = False
    with Client(url) as client:
        for job_id in job_ids:
            try:
                client.delete(job_id)
            except ApiError as error:
                complain(str(error))
                refused = True
            else:
                typer.echo(f"{job_id} deleted")
    if refused:
        raise typer.Exit(FAILED)
