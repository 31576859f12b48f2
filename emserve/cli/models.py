"""`emserve models`: what can be asked for."""

import json
from collections.abc import Iterable

import typer
from rich.table import Table
from rich.text import Text

from emserve.cli.client_options import AsJson, Url
from emserve.cli.consoles import stdout
from emserve.client.client import Client
from emserve.client.model_info import ModelInfo

_STYLES = {"available": "green", "loaded": "green", "missing": "dim"}


def models(as_json: AsJson = False, url: Url = None) -> None:
    """List the models that can be asked for."""
    with Client(url) as client:
        found = client.models()
    if as_json:
        typer.echo(json.dumps([model.model_dump(mode="json") for model in found]))
    else:
        stdout().print(_table(found))


def _table(models: Iterable[ModelInfo]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", no_wrap=True)
    for name in ("state", "classes", "pixel size", "licence", "title"):
        table.add_column(name)
    for model in models:
        pixel = model.native_pixel_size_nm
        table.add_row(
            Text(model.id),
            Text(model.state, _STYLES.get(model.state, "")),
            Text(", ".join(model.class_names.values())),
            "-" if pixel is None else f"{pixel:g} nm",
            Text(model.licence),
            Text(model.title),
        )
    return table
