"""The documentation names every setting and every problem type, and nothing that is not there."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import emserve
import service
import workers
from emserve.errors import EmserveError
from emserve.settings import Settings

_DOCS = Path(__file__).parents[2] / "docs"
_ROW = re.compile(r"^\| `([^`]+)` \|(.*)\|$", re.MULTILINE)
# These name an HTTP status; no class of ours raises them.
_BY_STATUS = {
    "forbidden",
    "not-found",
    "method-not-allowed",
    "request-header-fields-too-large",
    "service-unavailable",
}


def _rows(page: str) -> dict[str, str]:
    """First cell to the rest, of every table row whose first cell is code."""
    return dict(_ROW.findall((_DOCS / page).read_text()))


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    yield package
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def _descendants(error: type[EmserveError]) -> Iterator[type[EmserveError]]:
    for each in error.__subclasses__():
        yield each
        yield from _descendants(each)


@pytest.fixture(scope="module")
def slugs() -> set[str]:
    """The problem types of every error class there is."""
    for package in (emserve, service, workers):
        for _ in _modules(package):
            pass
    return {each.slug for each in _descendants(EmserveError)}


def test_every_problem_type_is_explained(slugs: set[str]) -> None:
    assert sorted(slugs - _rows("problems.md").keys()) == []


def test_no_problem_type_is_explained_that_does_not_exist(slugs: set[str]) -> None:
    assert sorted(_rows("problems.md").keys() - slugs - _BY_STATUS) == []


def test_every_setting_is_explained_and_no_other() -> None:
    assert set(_rows("settings.md")) == {f"EMSERVE_{name.upper()}" for name in Settings.model_fields}


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_the_settings_page_says_what_the_code_says(name: str) -> None:
    field = Settings.model_fields[name]
    row = _rows("settings.md")[f"EMSERVE_{name.upper()}"]
    default, meaning = (cell.strip(" `") for cell in row.split("|"))
    assert meaning == " ".join((field.description or "").split())
    assert default == _as_given(field.default)


def _as_given(default: object) -> str:
    """A default as one would write it into the environment."""
    if default is None:
        return "none"
    return json.dumps(default) if isinstance(default, bool | list | dict) else str(default)
