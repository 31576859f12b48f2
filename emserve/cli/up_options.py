"""Options of `emserve up` and `emserve worker`; each overrides the EMSERVE_ variable of the same name."""

import difflib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer
from pydantic import SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsError

from emserve.cards import Catalogue
from emserve.cli.consoles import warn
from emserve.cli.listener import is_loopback
from emserve.client.address import VARIABLE
from emserve.errors import ModelMissing, UnknownModel
from emserve.settings import Settings
from emserve.wording import words_of

LOG_DIR_VARIABLE = "EMSERVE_LOG_DIR"

# None means "not given": the environment, then the default of Settings decide.
Host = Annotated[str | None, typer.Option(help="Address to listen on. [default: 127.0.0.1]")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. [default: 8000]")]
DataDir = Annotated[Path | None, typer.Option(help="Folder of everything that lasts. [default: data]")]
Workers = Annotated[int | None, typer.Option(help="Workers on each device. [default: 1]")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda:N. [default: auto]")]
Threads = Annotated[int | None, typer.Option(help="CPU threads of each worker. [default: cores / workers]")]
RedisUrl = Annotated[
    str | None, typer.Option("--redis", metavar="URL", help="A Redis to use in place of the embedded one.")
]
StorageUrl = Annotated[
    str | None,
    typer.Option("--storage", metavar="URL", help="Where jobs are stored. [default: the data folder]"),
]
LogDir = Annotated[
    Path | None,
    typer.Option(
        envvar=LOG_DIR_VARIABLE,
        help="Folder of the logs. [default: logs in the data folder at a terminal, else stderr]",
    ),
]
ApiOnly = Annotated[bool, typer.Option("--api-only", help="Start no worker; the same as --workers 0.")]
AllowAnonymous = Annotated[
    bool | None,
    typer.Option("--allow-anonymous", help="Allow an address that others can reach, without any keys."),
]

Given = dict[str, str | int | bool | Path | None]


def tell_of_strangers() -> None:
    """A misspelt variable would do nothing, without a word."""
    known = {f"EMSERVE_{name.upper()}" for name in Settings.model_fields} | {VARIABLE, LOG_DIR_VARIABLE}
    for name in sorted(name for name in os.environ if name.startswith("EMSERVE_") and name not in known):
        near = difflib.get_close_matches(name, known, 1)
        hint = f": is {near[0]} meant?" if near else "."
        warn(f"{name} is no setting, so it does nothing{hint}")


def settings_of(given: Given) -> Settings:
    """The settings with the options that were given; a wrong value ends the command with code 2."""
    try:
        return Settings(**_chosen(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise typer.BadParameter(_explain(first, given)) from error
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        raise typer.BadParameter(_no_json(field[1]) if field else str(error)) from error


def _chosen(given: Given) -> dict[str, Any]:  # each setting has a type of its own
    return {name: value for name, value in given.items() if value is not None}


def _explain(error: ErrorDetails, given: Given) -> str:
    field = str(error["loc"][0])
    variable = f"EMSERVE_{field.upper()}"
    option = f"--{field.replace('_', '-')}"
    if given.get(field) is not None:
        where, remedy = option, f"Give another with {option}"
    else:
        where, remedy = variable, f"Change {variable}"
    about = Settings.model_fields[field]
    is_secret = SecretStr in get_args(about.annotation)
    value = "what was given" if is_secret else repr(error["input"])
    return f"{where} cannot be {value}: {words_of(error)}. {remedy}. It means: {about.description or ''}"


def _no_json(field: str) -> str:
    """Of a list or a map that cannot be read: what it was, and what it might have been meant to be."""
    variable = f"EMSERVE_{field.upper()}"
    value = os.environ.get(variable, "")
    if get_origin(Settings.model_fields[field].annotation) is list:
        meant = json.dumps([each.strip(" \"'[]") for each in value.split(",")])
    else:
        meant = '{"mitonet": "starter"}'
    return f"{variable} cannot be {value!r}: lists and maps are given as JSON, such as {variable}='{meant}'."


def refuse_unknown_models(settings: Settings) -> None:
    """Pinned and warm models have to be known; one that is not installed may still come."""
    catalogue = Catalogue(settings.models, settings.model_pin)
    pinned = [f"{name}@{version}" for name, version in settings.model_pin.items()]
    for variable, references in ("EMSERVE_MODEL_PIN", pinned), ("EMSERVE_WARM_MODELS", settings.warm_models):
        for reference in references:
            try:
                catalogue.runnable(reference)
            except UnknownModel as error:
                raise typer.BadParameter(f"{variable} names {reference}. {error}") from error
            except ModelMissing as error:
                warn(f"{variable} names {reference}. {error}")


def refuse_exposure(settings: Settings) -> None:
    """Without keys, only this machine may reach the API, unless that is wished for by name."""
    if settings.allow_anonymous:
        return
    try:
        safe = is_loopback(settings.host)
    except OSError as error:
        raise typer.BadParameter(f"--host {settings.host!r} is not an address: {error.strerror}.") from error
    if not safe:
        raise typer.BadParameter(
            f"--host {settings.host} can be reached from other machines, and the service knows no keys yet: "
            "everyone there could use it and see every image. Leave --host away to serve this machine only, "
            "or add --allow-anonymous (EMSERVE_ALLOW_ANONYMOUS=1) on a network that you trust."
        )
