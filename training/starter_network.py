"""The network of the starter models, and what is different about it while it learns."""

from functools import partial
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from emserve.cards import PACKAGED_CARDS
from training.phantoms.organelle import Organelle
from workers.models.panoptic import PanopticNetwork
from workers.models.panoptic_deeplab import ImagePooling
from workers.models.registry import build

ARCHITECTURE = "panoptic_deeplab_pr"
STARTER_CONFIG: dict[str, Any] = {  # the fields are those of the architecture's configuration class
    "encoder": {"blocks": [6, 3, 3, 1], "stem_channels": 32, "base_channels": 32, "expansion": 2},
    "decoder_channels": 64,
    "aspp_channels": 64,
    "low_level_channels": 32,
    "instance_ratio": 0.5,
    "dropout": 0.0,
}
"""A small encoder and a narrow decoder, quick on a laptop: 7.7 MB in 16 bits.

Most blocks are in the first stage: the decoder sees its map and the last one, and in the last map, of a pixel
in 16, a small mitochondrion is no more than a point.
"""


def starter_network() -> PanopticNetwork:
    """A new network, ready to learn."""
    network = build(ARCHITECTURE, STARTER_CONFIG)
    _ignore_image_mean(network)
    _keep_depthwise_exact(network)
    return network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload, no-any-return]


def organelle_teller() -> nn.Module:
    """What tells every `Organelle` from the decoder's features (N, D, h, w) while a network learns.

    To know mitochondria is to know what is no droplet: the features learn it here, from every crop.
    """
    return nn.Conv2d(STARTER_CONFIG["decoder_channels"], len(Organelle), 1)


def fill_with_packaged(network: PanopticNetwork, card_id: str) -> dict[str, Tensor]:
    """Gives `network` the weights of a packaged model, which may be less deep or wide.

    What `network` has more of changes nothing at first: residual blocks pass on what they are given, and
    channels are not listened to (Chen et al., Net2Net, ICLR 2016). Returns all that `network` has then.

    Raises ValueError where the packaged model has more of anything.
    """
    stored = load_file(PACKAGED_CARDS / f"{card_id}.safetensors")
    wanted = network.state_dict()
    if stranger := sorted(stored.keys() - wanted.keys()):
        message = f"{card_id} has {stranger[0]}, which this network has no place for"
        raise ValueError(message)
    grown = {name: _grown(name, drawn, stored.get(name)) for name, drawn in wanted.items()}
    network.load_state_dict(grown)
    return grown


def _grown(name: str, drawn: Tensor, stored: Tensor | None) -> Tensor:
    """A parameter as stored, at the head of what was drawn for the channels that are new."""
    if stored is None:
        return torch.zeros_like(drawn) if name.endswith("bn3.weight") else drawn.clone()
    if any(have > room for have, room in zip(stored.shape, drawn.shape, strict=True)):
        message = f"{name} is {list(stored.shape)} and has room in this network for {list(drawn.shape)} only"
        raise ValueError(message)
    grown = drawn.clone()
    if grown.ndim > 1:
        grown[:, stored.shape[1] :] = 0  # what new channels say
    grown[tuple(slice(length) for length in stored.shape)] = stored.to(grown.dtype)
    return grown


def _ignore_image_mean(network: PanopticNetwork) -> None:
    """Silences the branch that sees the mean over the whole image: a tile is to see what the whole sees.

    Learned, it moves every decision with the size of the tile, and does not raise the score.
    """
    for module in network.modules():
        if isinstance(module, ImagePooling):
            for parameter in module.parameters():
                nn.init.zeros_(parameter).requires_grad_(False)


def _keep_depthwise_exact(network: PanopticNetwork) -> None:
    """Lets depthwise convolutions run in float32, whose backward pass takes a CPU a third of the time."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = partial(_in_float32, module)  # type: ignore[method-assign]  # for training only


def _in_float32(conv: nn.Conv2d, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return functional.conv2d(
            x.float(), conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups
        )
