"""What a person sees once the service is ready: where it is, what it can do, and what to try."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from emserve.cards import Catalogue
from emserve.errors import UserError
from emserve.settings import Settings

_DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass(frozen=True)
class Readiness:
    """What has been started."""

    settings: Settings
    url: str
    seconds: float
    log_dir: Path | None
    devices: list[str]
    threads: int
    """CPU threads of each worker."""


def welcome(ready: Readiness) -> RenderableType:
    catalogue = Catalogue(ready.settings.models, ready.settings.model_pin)
    facts = _grid()
    facts.add_row("Address", f"{ready.url}   (documentation at {ready.url}/docs)")
    if ready.settings.allow_anonymous:
        facts.add_row("Access", Text("no keys: everyone who reaches the address may use it", "yellow"))
    facts.add_row("Data", str(ready.settings.data_dir))
    facts.add_row("Logs", str(ready.log_dir or "stderr"))
    facts.add_row("Workers", workers_text(ready.devices, ready.settings.workers, ready.threads))
    facts.add_row("Models", _models(catalogue))
    title = Text(f"emserve is ready after {ready.seconds:.1f} s", "bold")
    panel = Panel(facts, title=title, title_align="left", expand=False, padding=(1, 2))
    return Group("", panel, "")


def count(number: int, noun: str) -> str:
    return f"one {noun}" if number == 1 else f"{number} {noun}s"


def workers_text(devices: list[str], workers: int, threads: int) -> str:
    if not devices or not workers:
        return "none here; `emserve worker` starts some"
    each = f"{count(workers, 'worker')} on {', '.join(devices)}"
    return f"{each}, {count(threads, 'CPU thread')} each"


def _grid() -> Table:
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _models(catalogue: Catalogue) -> Table:
    table = Table.grid(padding=(0, 3))
    for card in catalogue.cards():
        installed = catalogue.weights(card) is not None
        table.add_row(card.id, Text("available", "green") if installed else Text("weights missing", "dim"))
    return table


def to_try(ready: Readiness) -> list[str]:
    """Lines with commands to copy: never inside a frame, never wrapped, so that they can be."""
    model = _model_to_try(Catalogue(ready.settings.models, ready.settings.model_pin))
    stop = "   Stop it   Ctrl-C"
    if model is None:
        return [stop]
    at = "" if ready.url == _DEFAULT_URL else f" --url {ready.url}"
    return [
        f"   Try it    {_program()} demo{at}",
        f"             curl -F image=@cell.tif -F model={model} {ready.url}/v1/jobs",
        stop,
        "",
    ]


def _model_to_try(catalogue: Catalogue) -> str | None:
    """MitoNet where it can run, else the first model that can."""
    try:
        return catalogue.runnable("mitonet").name
    except UserError:
        return next((card.id for card in catalogue.cards() if catalogue.weights(card)), None)


def _program() -> str:
    """How to call this program from where we are."""
    beside = Path(sys.executable).with_name("emserve")
    found = shutil.which("emserve")
    if found is not None and Path(found) == beside:
        return "emserve"
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)
