"""Released archives: their half-folded tensors under the keys of our networks."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workers.models.fold import drop_norm, fold, norm_pairs
from workers.models.panoptic import PanopticNetwork
from workers.models.weights import fill


def from_released(network: PanopticNetwork, tensors: Mapping[str, Tensor]) -> PanopticNetwork:
    """`network` (plain, may be on the device "meta") itself, filled with an archive's tensors, folded.

    Raises WeightsMismatch, which lists all that does not fit.
    """
    named = plain_names(network, tensors)
    for pair in list(norm_pairs(network)):
        if f"{pair.conv_name}.bias" in named:
            pair.conv.bias = nn.Parameter(torch.zeros_like(pair.norm.bias))
            drop_norm(network, pair)
    fill(network, named)
    return fold(network)


def plain_names(network: PanopticNetwork, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """An archive's tensors under the keys of `network` (plain).

    An archive is half folded. In the encoder, and in the ASPP and projections of Panoptic-DeepLab,
    BatchNorm is gone and its convolution has a bias; where an activation follows, as also in the point
    head of Panoptic-DeepLab, the convolution lies one level deeper, at `.0`. All else has plain keys.
    A key that belongs to no layer stays as it is.
    """
    plain = network.state_dict().keys()
    named: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        layer, _, leaf = key.rpartition(".")
        layers = (layer, layer.removesuffix(".0"))
        wanted = [f"{name}.{leaf}" for name in layers if f"{name}.{leaf}" in plain]
        if not wanted and leaf == "bias":  # one that folding gave to a convolution
            wanted = [f"{name}.bias" for name in layers if f"{name}.weight" in plain]
        named[key if not wanted or wanted[0] in named else wanted[0]] = tensor
    return named
