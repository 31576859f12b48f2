"""Folding: BatchNorm taken into the convolution before it, the form in which networks run."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from workers.models.panoptic import PanopticNetwork

AnyConv = nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class NormPair:
    """A BatchNorm and the convolution that feeds it."""

    conv: AnyConv
    conv_name: str
    norm: nn.BatchNorm2d
    norm_name: str


def norm_pairs(network: nn.Module) -> Iterator[NormPair]:
    """Every BatchNorm of `network` with its convolution: the last one in the sibling registered before it."""
    for parent_name, parent in network.named_modules():
        previous: tuple[str, nn.Module] | None = None
        for child_name, child in parent.named_children():
            name = f"{parent_name}.{child_name}" if parent_name else child_name
            if isinstance(child, nn.BatchNorm2d) and previous is not None:
                conv_name, conv = _last_conv(*previous)
                yield NormPair(conv, conv_name, child, name)
            previous = (name, child)


@torch.no_grad()
def fold(network: PanopticNetwork) -> PanopticNetwork:
    """`network` itself, every BatchNorm folded into its convolution (computed in float64).

    It keeps the plain keys of the convolutions, each with a bias added; the keys of BatchNorm vanish.
    Folding what is folded changes nothing. The result is for inference.
    """
    for pair in list(norm_pairs(network)):
        _fold_pair(pair)
        drop_norm(network, pair)
    return network.eval().requires_grad_(False)


def drop_norm(network: nn.Module, pair: NormPair) -> None:
    """Takes the BatchNorm out of `network`; its convolution must hold it, or need none."""
    parent, _, child = pair.norm_name.rpartition(".")
    network.get_submodule(parent).register_module(child, nn.Identity())


def _last_conv(name: str, module: nn.Module) -> tuple[str, AnyConv]:
    convs = [(n, m) for n, m in module.named_modules(prefix=name) if isinstance(m, AnyConv)]
    if not convs:
        raise TypeError(f"{name} comes before a BatchNorm but has no convolution")
    return convs[-1]


def _fold_pair(pair: NormPair) -> None:
    conv, norm = pair.conv, pair.norm
    if norm.running_mean is None or norm.running_var is None:
        raise TypeError(f"{pair.norm_name} keeps no running statistics")
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = norm.bias.double() - norm.running_mean.double() * scale
    if conv.bias is not None:
        bias = bias + conv.bias.double() * scale
    # The output channels are the second dimension of a transposed convolution, else the first.
    shape = (1, -1, 1, 1) if isinstance(conv, nn.ConvTranspose2d) else (-1, 1, 1, 1)
    dtype = conv.weight.dtype
    conv.weight = nn.Parameter((conv.weight.double() * scale.view(shape)).to(dtype))
    conv.bias = nn.Parameter(bias.to(dtype))
