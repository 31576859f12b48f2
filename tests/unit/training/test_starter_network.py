"""A network begins where a packaged model stands, also where it is deeper or wider."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from emserve.cards import PACKAGED_CARDS, ModelCard
from training.starter_network import ARCHITECTURE, STARTER_CONFIG, fill_with_packaged
from workers.models.panoptic import PanopticNetwork
from workers.models.registry import build

_PACKAGED = "nucleonet@starter"
_SIDE = 64


def packaged_config() -> dict[str, Any]:
    """That of the packaged model, which may have been trained before the configuration of now."""
    card = ModelCard.model_validate_json((PACKAGED_CARDS / f"{_PACKAGED}.json").read_text())
    return copy.deepcopy(card.architecture_config)


def filled(config: dict[str, Any]) -> PanopticNetwork:
    network = build(ARCHITECTURE, config)
    fill_with_packaged(network, _PACKAGED)
    return network


def heads(network: PanopticNetwork) -> list[Tensor]:
    image = torch.randn(1, 1, _SIDE, _SIDE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = network.eval()(image)
    return [found.coarse_logits, found.ctr_hmp, found.offsets, found.features]


def test_a_deeper_and_wider_network_begins_as_the_packaged_one() -> None:
    config = packaged_config()
    packaged = heads(filled(config))
    config["encoder"]["blocks"] = [each + 1 for each in config["encoder"]["blocks"]]
    config["low_level_channels"] += 16
    larger = filled(config)
    for ours, theirs in zip(heads(larger), packaged, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_what_is_new_in_it_learns() -> None:
    config = packaged_config()
    config["encoder"]["blocks"][0] += 1
    config["low_level_channels"] += 16
    larger = filled(config).train()
    larger(torch.randn(2, 1, _SIDE, _SIDE)).coarse_logits.sum().backward()
    gate = larger.get_parameter(f"encoder.layer1.{config['encoder']['blocks'][0] - 1}.bn3.weight")
    assert not gate.any()
    assert gate.grad is not None
    assert gate.grad.any()  # the first step opens the block
    mixing = larger.get_parameter("semantic_decoder.fuse.0.0.sepconv.1.weight")
    assert not mixing[:, -16:].any()
    assert mixing.grad is not None
    assert mixing.grad[:, -16:].any()


def test_all_that_trainings_begin_with_has_room_in_the_network_of_now() -> None:
    for card_id in ("mitonet@starter", "nucleonet@starter", "dropnet@starter"):
        fill_with_packaged(build(ARCHITECTURE, STARTER_CONFIG), card_id)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"decoder_channels": 32, "aspp_channels": 32}, "has room in this network for"),
        ({"encoder": {"blocks": [1, 1, 1, 1]}}, "which this network has no place for"),
    ],
)
def test_a_smaller_network_is_refused(change: dict[str, Any], named: str) -> None:
    config = packaged_config()
    for name, value in change.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    with pytest.raises(ValueError, match=named):
        filled(config)
