"""`emserve models list` and `show`: what a folder holds, or what a service has."""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from emserve.cards import Catalogue, ModelCard, ModelState
from emserve.cli.client_options import AsJson
from emserve.cli.consoles import stdout, warn
from emserve.cli.models.options import DataDir, ModelDir, ServiceUrl, chosen_settings, service_to_ask
from emserve.client.client import Client
from emserve.client.model_info import ModelInfo
from emserve.settings import Settings

_STYLES = {"available": "green", "loaded": "green", "missing": "dim"}
Facts = Mapping[str, Any]  # fields of a card or of a service's answer


def list_models(
    as_json: AsJson = False, url: ServiceUrl = None, model_dir: ModelDir = None, data_dir: DataDir = None
) -> None:
    """List models: of the folder, or of the service at --url (EMSERVE_URL)."""
    if (service := service_to_ask(url, model_dir, data_dir)) is not None:
        with Client(service) as client:
            found = client.models()
    else:
        catalogue = _catalogue(chosen_settings(model_dir, data_dir))
        found = [model_info(card, catalogue) for card in catalogue.cards()]
        for file in catalogue.unreadable:
            text = f"{file} is no card that can be read, or not named after its model; it is left out"
            warn(text)
    if as_json:
        typer.echo(json.dumps([model.model_dump(mode="json") for model in found]))
    else:
        stdout().print(_table(found))


def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME or NAME@VERSION.")],
    as_json: AsJson = False,
    url: ServiceUrl = None,
    model_dir: ModelDir = None,
    data_dir: DataDir = None,
) -> None:
    """Show one model: its classes, origin, licence, citation and checksums."""
    if (service := service_to_ask(url, model_dir, data_dir)) is not None:
        with Client(service) as client:
            facts: Facts = client.model(model).model_dump(mode="json")
    else:
        catalogue = _catalogue(chosen_settings(model_dir, data_dir))
        facts = _facts(catalogue.find(model), catalogue)
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        stdout().print(_grid(facts), soft_wrap=True)


def _catalogue(settings: Settings) -> Catalogue:
    return Catalogue(settings.models, settings.model_pin)


def model_info(card: ModelCard, catalogue: Catalogue) -> ModelInfo:
    """What a service with this catalogue would say of the model."""
    return ModelInfo.model_validate(_facts(card, catalogue))


def _facts(card: ModelCard, catalogue: Catalogue) -> Facts:
    weights = catalogue.weights(card)
    state = ModelState.MISSING if weights is None else ModelState.AVAILABLE
    facts = {"id": card.id, "state": str(state), **card.model_dump(mode="json", exclude_none=True)}
    facts["sha256"] = facts.pop("weights_sha256", None)
    if weights is not None:
        facts |= {"weights": str(weights), "bytes": weights.stat().st_size}
    return facts


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


def _grid(facts: Facts) -> Table:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        if value not in (None, {}, [], ""):
            grid.add_row(name.replace("_", " "), Text(_worded(name, value)))
    return grid


def _worded(name: str, value: object) -> str:
    if name == "bytes" and isinstance(value, int):
        return decimal(value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items() if each not in (None, {}))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
