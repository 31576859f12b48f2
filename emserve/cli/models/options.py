"""Options that the commands of `emserve models` share, and the folder that they mean."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from emserve.cli.programs import ProgramFailed, run_program
from emserve.cli.up_options import settings_of
from emserve.client.address import VARIABLE
from emserve.extras import how_to_install
from emserve.installer.conversion import Conversion
from emserve.installer.folder import ModelFolder
from emserve.installer.installer import Installer
from emserve.settings import Settings

_CONVERTER = "workers.models.convert"

ModelDir = Annotated[
    Path | None,
    typer.Option(
        "--model-dir", file_okay=False, help="Folder of models. [default: models in the data folder]"
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", file_okay=False, help="The service's data folder. [default: data]"),
]


ServiceUrl = Annotated[
    str | None,
    typer.Option(
        "--url", envvar=VARIABLE, metavar="URL", help="Ask the service there in place of the folder."
    ),
]


def service_to_ask(url: str | None, model_dir: Path | None, data_dir: Path | None) -> str | None:
    """The service's address; None means the folder, which wins over EMSERVE_URL where it was given."""
    if model_dir is None and data_dir is None:
        return url
    if url is not None and url != os.environ.get(VARIABLE):
        raise typer.BadParameter("--url asks a service, --model-dir and --data-dir a folder: give one.")
    return None


def chosen_settings(model_dir: Path | None, data_dir: Path | None) -> Settings:
    return settings_of({"model_dir": model_dir, "data_dir": data_dir})


def installer(folder: ModelFolder) -> Installer:
    """One that converts in a process of its own, the only one with torch in it.

    Raises ProgramFailed where there is no torch, before anything is fetched.
    """
    if find_spec("torch") is None:
        raise ProgramFailed(
            f"Weights are converted with torch, which is not installed: {how_to_install('worker')} brings it."
        )
    return Installer(folder, _convert)


def _convert(source: Path, weights: Path) -> Conversion:
    output = run_program(_CONVERTER, str(source), str(weights), extra="worker")
    try:
        return Conversion.model_validate_json(output)
    except ValueError as error:
        raise ProgramFailed(
            f"{_CONVERTER} said something else than what it found: {output!r:.200}."
        ) from error
