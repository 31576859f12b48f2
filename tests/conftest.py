"""Fixtures that every kind of test uses."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer

from tests import schedule
from workers.inference.rows import Workspace


def pytest_configure() -> None:
    # A shell that starts us in the background has us ignore Ctrl-C, and so would all that tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: schedule.rank(_file(item)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> schedule.ByNeed | None:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False  # the number of a file's tests says nothing of its length
    return schedule.ByNeed(config, log)


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _folder(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    return Path(value)


@pytest.fixture(scope="session")
def goldens() -> Path:
    """Folder of golden data (inputs and outputs of the reference); skips without EMSERVE_GOLDENS."""
    return _folder("EMSERVE_GOLDENS")


@pytest.fixture(scope="session")
def em_images() -> Path:
    """Folder of real EM images, for measuring only; skips without EMSERVE_EM."""
    return _folder("EMSERVE_EM")


@pytest.fixture(scope="session")
def data() -> Path:
    """Small files of the repository that tests read."""
    return Path(__file__).parent / "data"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace of the inference in a fresh folder."""
    with Workspace(tmp_path) as opened:
        yield opened
