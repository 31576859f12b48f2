"""Parameters and tags as they are typed: `--param name=value`, `--params JSON`, `--tag key=value`."""

import json
from collections.abc import Sequence

import typer

from emserve.client.errors import InvalidParameters
from emserve.client.submission import make_parameters, make_tags
from emserve.params import Parameters


def parse_parameters(pairs: Sequence[str], as_json: str | None = None) -> Parameters:
    """Checked parameters; a pair wins over the JSON object. A fault ends the command with code 2."""
    values = _json_object(as_json) if as_json is not None else {}
    for pair in pairs:
        name, value = _split("--param", pair)
        values[name] = _value(value)
    try:
        return make_parameters(values)
    except InvalidParameters as error:
        raise typer.BadParameter(str(error)) from error


def parse_tags(pairs: Sequence[str]) -> dict[str, str]:
    """Tags; a fault ends the command with code 2."""
    tags = dict(_split("--tag", pair) for pair in pairs)
    try:
        return make_tags(tags)
    except InvalidParameters as error:
        raise typer.BadParameter(f"--tag: {error}") from error


def _split(option: str, pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not name or not equals:
        raise typer.BadParameter(f"{option} takes NAME=VALUE, not {pair!r}.")
    return name, value


def _value(text: str) -> object:
    """JSON where it is JSON (numbers, true, lists), else the text itself, so that words need no quotes."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--params is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise typer.BadParameter("--params takes a JSON object, such as '{\"downsampling\": 2}'.")
    return value
