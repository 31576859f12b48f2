"""The starter model, which comes with the program."""

from pathlib import Path

from emserve.cards import Catalogue, ModelCard
from workers.inference.engine import Engine
from workers.models.ready import Precision
from workers.models.weights import load_card

_NONE_BESIDES = Path("no folder of models")


def starter_card() -> ModelCard:
    return Catalogue(_NONE_BESIDES).runnable("mitonet@starter")


def starter_engine(precision: Precision = "fp32") -> Engine:
    card = starter_card()
    weights = Catalogue(_NONE_BESIDES).weights(card)
    if weights is None:
        raise FileNotFoundError(f"the weights of {card.id} are not beside its card")
    return Engine(load_card(card, weights), precision=precision)
