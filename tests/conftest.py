"""Fixtures that every kind of test uses."""

import os
from pathlib import Path

import pytest


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
