"""The command line: `emserve up`, `emserve submit` and the rest.

Only the names and first lines of the commands are here; each command's module is imported when it is called,
so that `emserve --help` is there at once.
"""

from typing import Annotated

import typer

from emserve import __version__
from emserve.cli.command_group import ENTRIES, MARKUP, CommandGroup

app = typer.Typer(
    name="emserve",
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Commands speak to the service at --url, else EMSERVE_URL, else http://127.0.0.1:8000.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"emserve {__version__}")
        raise typer.Exit


@app.callback()
def _emserve(
    version: Annotated[  # its callback answers
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Segment electron-microscopy images: run the service, send it images, fetch label maps."""


def _placeholder() -> None:
    """Stands for a command until it is called; CommandGroup puts the real one in its place."""


for _entry in ENTRIES:
    app.command(_entry.name, help=_entry.help, rich_help_panel=_entry.panel)(_placeholder)
