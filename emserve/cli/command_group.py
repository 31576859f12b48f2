"""The commands by name, imported when they are called, and the one place where their errors are told."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import typer
from typer.core import TyperGroup

_IMAGES = "Segment images"
_SERVICE = "Run the service"

MARKUP: Literal["markdown"] = "markdown"
"""How help texts are read. Rich's own markup would take `[default: 8000]` for a style and drop it."""


@dataclass(frozen=True)
class Entry:
    """A command, or a group of them: `name` in the module `emserve.cli.<name>`, unless another is given."""

    name: str
    help: str
    """The first line of the function's docstring."""
    panel: str
    module: str | None = None

    def load(self) -> Any:  # a command of click's, whose types typer does not export
        module = import_module(f"emserve.cli.{self.module or self.name}")
        found = getattr(module, self.name)
        if isinstance(found, typer.Typer):  # a group of commands
            return typer.main.get_command(found)
        alone = typer.Typer(add_completion=False, rich_markup_mode=MARKUP)
        alone.command(self.name)(found)
        return typer.main.get_command(alone)


ENTRIES = (
    Entry("demo", "Segment a made-up image with known objects, and score the result.", _IMAGES),
    Entry("submit", "Send images or volumes to be segmented.", _IMAGES),
    Entry("jobs", "List jobs, newest first.", _IMAGES),
    Entry("job", "Show one job.", _IMAGES),
    Entry("cancel", "Stop jobs.", _IMAGES),
    Entry("delete", "Delete jobs, with their images and results.", _IMAGES),
    Entry("models", "List, pull, import, verify, test and remove models.", _IMAGES),
    Entry(
        "evaluate", "Compare a label map with the truth: scores, and a picture of hits and errors.", _IMAGES
    ),
    Entry("up", "Run the service: its job queue, the API, and warm workers on each device.", _SERVICE),
    Entry("worker", "Run only workers, for a service that runs elsewhere.", _SERVICE, module="up"),
)


class CommandGroup(TyperGroup):
    """Holds placeholders, which suffice for `--help`; calls the real commands."""

    # Any: the contexts and commands are click's, whose types typer does not export.
    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        entry = next((entry for entry in ENTRIES if args and entry.name == args[0]), None)
        if entry is not None:
            self.commands[entry.name] = entry.load()
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        from emserve.cli.complaints import told_errors  # needs the client's errors, which `--help` does not

        with told_errors():
            return super().invoke(ctx)
