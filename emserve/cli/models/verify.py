"""`emserve models verify`: whether installed weights are those that their cards name."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from emserve.cards import Catalogue, ModelCard
from emserve.cli.complaints import FAILED
from emserve.cli.consoles import stderr, stdout
from emserve.cli.models.options import DataDir, ModelDir, chosen_settings
from emserve.installer.folder import digest

_GOOD, _BAD, _UNSURE = "green", "red", "yellow"


def verify(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="All without it.")] = None,
    model_dir: ModelDir = None,
    data_dir: DataDir = None,
) -> None:
    """Compare the SHA-256 of installed weights with the one recorded when they were installed."""
    settings = chosen_settings(model_dir, data_dir)
    catalogue = Catalogue(settings.models, settings.model_pin)
    cards = [catalogue.runnable(name) for name in names] if names else _installed(catalogue)
    table = Table.grid(padding=(0, 3))
    sound = True
    with stderr().status("Reading weights"):
        for card in cards:
            path = catalogue.weights(card)
            verdict, style = _verdict(card, path) if path else ("its weights were removed just now", _BAD)
            table.add_row(Text(card.id), Text(verdict, style))
            sound = sound and style != _BAD
        for file in catalogue.unreadable:
            table.add_row(Text(file.name), Text("is no card that can be read", _BAD))
            sound = False
    stdout().print(table, soft_wrap=True)
    if not sound:
        raise typer.Exit(FAILED)


def _installed(catalogue: Catalogue) -> list[ModelCard]:
    return [card for card in catalogue.cards() if catalogue.weights(card)]


def _verdict(card: ModelCard, path: Path) -> tuple[str, str]:
    found = digest(path, "sha256")
    if card.weights_sha256 is None:
        return f"its card records no SHA-256; it is {found}", _UNSURE
    if found != card.weights_sha256:
        return (
            f"CHANGED: {path} has the SHA-256 {found}, recorded was {card.weights_sha256}. Remove the model "
            "and install it again.",
            _BAD,
        )
    return f"as installed, SHA-256 {found}", _GOOD
