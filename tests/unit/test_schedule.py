"""Tests are spread so that a service is started once and the longest files begin."""

from pathlib import Path

import pytest

from tests import schedule

_ROOT = Path(__file__).parents[2]
_FILES = [path.relative_to(_ROOT).as_posix() for path in sorted((_ROOT / "tests").rglob("test_*.py"))]


def test_files_that_share_a_service_are_one_company() -> None:
    together = schedule.company("tests/acceptance/test_labels.py")
    assert together == schedule.company("tests/acceptance/test_regions.py")
    assert together != schedule.company("tests/acceptance/test_volumes.py")
    assert together != schedule.company("tests/acceptance/test_limits.py")
    assert together != schedule.company("tests/integration/test_up.py")


def test_a_file_that_shares_nothing_is_by_itself() -> None:
    assert schedule.company("tests/unit/test_ids.py") == "tests/unit/test_ids.py"


def test_companies_come_first_then_long_files() -> None:
    order = sorted(_FILES, key=schedule.rank)
    alone = [schedule.company(file) == file for file in order]
    assert alone == sorted(alone)
    assert tuple(order[alone.index(True) :][: len(schedule.LONG)]) == schedule.LONG


@pytest.mark.parametrize("file", schedule.LONG)
def test_a_long_file_is_there(file: str) -> None:
    assert file in _FILES


@pytest.mark.parametrize("name", sorted(schedule.WITH_THEIR_OWN | schedule.TRYING))
def test_an_acceptance_test_that_is_named_is_there(name: str) -> None:
    assert f"tests/acceptance/test_{name}.py" in _FILES


@pytest.mark.parametrize("name", sorted(schedule.ON_ONE_SERVICE | schedule.WITH_ONE_WORKER))
def test_an_integration_test_that_shares_is_there(name: str) -> None:
    assert f"tests/integration/test_{name}.py" in _FILES
