"""What several tests of inference share."""

from pathlib import Path

import pytest

from emserve.cards import Catalogue, ModelCard
from workers.inference.engine import Engine
from workers.models.weights import load_card


@pytest.fixture(scope="session")
def starter() -> tuple[ModelCard, Engine]:
    """The packaged model of mitochondria, ready to run."""
    catalogue = Catalogue(Path("no such folder"))
    card = catalogue.runnable("mitonet@starter")
    weights = catalogue.weights(card)
    assert weights is not None
    return card, Engine(load_card(card, weights))
