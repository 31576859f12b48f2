"""Options that the client commands share."""

from typing import Annotated

import typer

from emserve.client.address import DEFAULT_URL, VARIABLE, choose_url
from emserve.client.errors import BadAddress

Url = Annotated[
    str | None,
    typer.Option(
        "--url", envvar=VARIABLE, metavar="URL", help=f"Address of the service. [default: {DEFAULT_URL}]"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout, for programs.")]


def url_hint(url: str) -> str:
    """What a suggested command needs to reach the same service: nothing, or ` --url URL`."""
    try:
        usual = choose_url()
    except BadAddress:  # of the environment, which --url has overruled
        usual = None
    return "" if url == usual else f" --url {url}"
