"""The networks with the seeded weights of the golden data."""

import json
from functools import cache
from pathlib import Path

from emserve.cards import Catalogue, ModelCard
from tests.seeded import seeded_state_dict
from workers.inference.engine import Engine
from workers.models.fold import fold
from workers.models.panoptic import PanopticNetwork
from workers.models.registry import build
from workers.models.weights import fill, outline

CARDS = {
    "MitoNet_v1": "mitonet@1",
    "MitoNet_v1_mini": "mitonet-mini@1",
    "NucleoNet_base_v2": "nucleonet@2",
    "DropNet_base_v1": "dropnet@1",
}
Shapes = dict[str, tuple[int, ...]]


def card_of(model: str) -> ModelCard:
    return Catalogue(Path("no such folder")).find(CARDS[model])


def shapes_of(model: str, goldens: Path, form: str = "") -> Shapes:
    file = json.loads((goldens / f"state_dict_{model}{form}.json").read_text())
    entries = file.get("state_dict", file)
    return {key: tuple(value[0]) for key, value in entries.items()}


@cache
def plain_network(model: str, goldens: Path) -> PanopticNetwork:
    """The network with its seeded weights; seldom changed, so it is shared."""
    card = card_of(model)
    network = build(card.architecture, card.architecture_config)
    fill(network, seeded_state_dict(model, shapes_of(model, goldens), goldens))
    return network.eval()


def folded_network(model: str, goldens: Path) -> PanopticNetwork:
    network = outline(card_of(model))
    fill(network, {key: tensor.clone() for key, tensor in plain_network(model, goldens).state_dict().items()})
    return fold(network)


@cache
def engine_of(model: str, goldens: Path) -> Engine:
    return Engine(folded_network(model, goldens))
