"""`emserve models import`: a lab's own model, from what empanada exported."""

import re
from pathlib import Path
from typing import Annotated

import typer

from emserve.cli.consoles import stderr
from emserve.cli.models.options import DataDir, ModelDir, chosen_settings, installer
from emserve.cli.models.pull import tell_installed
from emserve.installer.errors import NameReserved
from emserve.installer.folder import ModelFolder
from emserve.installer.installer import Identity, released_cards

_NAME, _VERSION = re.compile("[a-z0-9][a-z0-9_-]{0,63}"), re.compile("[A-Za-z0-9._-]{1,64}")


def bring(  # the parameters are the command's options
    file: Annotated[Path, typer.Argument(metavar="FILE.pth", exists=True, dir_okay=False, readable=True)],
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml", exists=True, dir_okay=False, readable=True)
    ],
    name: Annotated[str, typer.Option(help="What jobs will call it.")],
    version: Annotated[str, typer.Option(help="Its version.")] = "1",
    title: Annotated[str, typer.Option(help="A few words for lists.")] = "",
    licence: Annotated[str, typer.Option(help="Under which it may be used.")] = "unknown",
    citation: Annotated[str, typer.Option(help="What to cite for it.")] = "unknown",
    pixel_size: Annotated[
        float | None, typer.Option(min=0.001, metavar="NM", help="Pixel size that it was trained at.")
    ] = None,
    model_dir: ModelDir = None,
    data_dir: DataDir = None,
) -> None:
    """Install a model of your own: weights and yaml as empanada exports them.

    FILE.pth is an exported TorchScript archive or a checkpoint. None of its code is run.
    """
    _check(name, version)
    folder = ModelFolder(chosen_settings(model_dir, data_dir).models)
    identity = Identity(
        name=name,
        version=version,
        title=title or name,
        description=f"Imported from {file.name}.",
        licence=licence,
        citation=citation,
        native_pixel_size_nm=pixel_size,
    )
    with stderr().status("Reading and converting"):
        card = installer(folder).bring(file, config, identity)
    tell_installed(card, folder)


def _check(name: str, version: str) -> None:
    if not _NAME.fullmatch(name):
        raise typer.BadParameter(f"--name {name!r}: a name has small letters, digits, _ and -.")
    if not _VERSION.fullmatch(version) or version == "starter":
        raise typer.BadParameter(f"--version {version!r}: a version has letters, digits, dots, _ and -.")
    if name in {card.name for card in released_cards().values()}:
        raise NameReserved(name)
