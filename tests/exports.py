"""Files as empanada exports them: half-folded tensors by their released names, in a TorchScript archive."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from workers.models.panoptic import PanopticNetwork
from workers.models.registry import build

_ENCODER = {"blocks": [1, 2, 1, 1], "stem_channels": 16, "base_channels": 8}
SMALL: dict[str, dict[str, Any]] = {
    "panoptic_deeplab_pr": {
        "encoder": _ENCODER,
        "decoder_channels": 32,
        "aspp_channels": 24,
        "low_level_channels": 10,
        "instance_ratio": 0.4,
    },
    "panoptic_bifpn_pr": {
        "encoder": {**_ENCODER, "output_stride": 32},
        "fpn_channels": 32,
        "fpn_layers": 2,
    },
}
_FOLDED = {
    "panoptic_deeplab_pr": re.compile(r"encoder\.|\w+_decoder\.(aspp\.convs\.[0-3]|aspp\.project|project)\."),
    "panoptic_bifpn_pr": re.compile(r"encoder\."),
}
_NO_ACTIVATION = re.compile(r"encoder\.layer.*\.(conv3|downsample\.0)$")
_ACTIVATION_ALONE = re.compile(r".*\.aspp_pooling\.1$|semantic_pr\.point_head\.fc_layers\.\d\.0$")


def small_network(architecture: str, num_classes: int = 1) -> PanopticNetwork:
    """A network in miniature with seeded weights, BatchNorm's statistics among them."""
    torch.manual_seed(3)
    network = build(architecture, {**SMALL[architecture], "num_classes": num_classes})
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.uniform_(-0.2, 0.2)
        norm.running_mean = torch.empty_like(norm.bias.data).uniform_(-0.1, 0.1)
        norm.running_var = torch.empty_like(norm.bias.data).uniform_(0.5, 1.5)
    return _spread(network.eval())


@torch.no_grad()
def _spread(network: PanopticNetwork) -> PanopticNetwork:
    """Sets the last layers so that noise holds every class, and centres."""
    found = network(torch.randn(1, 1, 128, 128))
    for head, outputs in ((network.semantic_head, found.coarse_logits), (network.ins_center, found.ctr_hmp)):
        last = head.head[1]
        if not isinstance(last, nn.Conv2d) or last.bias is None:
            raise TypeError(last)
        mean, deviation = outputs.mean((0, 2, 3)), outputs.std((0, 2, 3))
        last.weight /= deviation[:, None, None, None]
        last.bias.copy_((last.bias - mean) / deviation)
    return network


def released_tensors(network: PanopticNetwork, architecture: str) -> dict[str, Tensor]:
    """The network's tensors as its export has them: BatchNorm folded where empanada folds it."""
    plain = network.state_dict()
    folded = _FOLDED[architecture]
    released: dict[str, Tensor] = {}
    for key, tensor in plain.items():
        layer, _, leaf = key.rpartition(".")
        norm = _norm_after(layer, plain)
        if folded.match(key) and norm is not None and leaf == "weight":
            mean, variance = plain[f"{norm}.running_mean"], plain[f"{norm}.running_var"]
            scale, shift = plain[f"{norm}.weight"], plain[f"{norm}.bias"]
            weight, bias = fuse_conv_bn_weights(tensor, None, mean, variance, 1e-5, scale, shift)
            place = layer if _NO_ACTIVATION.match(layer) else f"{layer}.0"
            released |= {f"{place}.weight": weight.detach(), f"{place}.bias": bias.detach()}
        elif folded.match(key) and f"{layer}.running_var" in plain:
            continue  # it went into its convolution
        elif architecture == "panoptic_deeplab_pr" and _ACTIVATION_ALONE.match(layer):
            released[f"{layer}.0.{leaf}"] = tensor
        else:
            released[key] = tensor
    return released


def _norm_after(layer: str, plain: Mapping[str, Tensor]) -> str | None:
    """The BatchNorm that follows a convolution."""
    parent, _, name = layer.rpartition(".")
    start = f"{parent}." if parent else ""
    following = f"bn{name[4:]}" if name.startswith("conv") else str(int(name) + 1) if name.isdecimal() else ""
    norm = start + following
    return norm if f"{norm}.running_var" in plain and f"{layer}.running_var" not in plain else None


class _Holder(nn.Module):
    """A module with names below it, and code that nobody may run."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def _tree(tensors: Mapping[str, Tensor]) -> nn.Module:
    root = _Holder()
    for key, tensor in tensors.items():
        *path, leaf = key.split(".")
        module: nn.Module = root
        for name in path:
            below = dict(module.named_children()).get(name)
            if below is None:
                below = _Holder()
                module.add_module(name, below)
            module = below
        if leaf.startswith(("running_", "num_batches")):
            module.register_buffer(leaf, tensor)
        else:
            module.register_parameter(leaf, nn.Parameter(tensor, requires_grad=False))
    return root


def save_scripted(tensors: Mapping[str, Tensor], path: Path) -> Path:
    """A TorchScript archive with these tensors, scripted and saved."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and what was released with it stays
        scripted = torch.jit.script(_tree(tensors).eval())
        torch.jit.save(scripted, path)
    return path


def export(network: PanopticNetwork, architecture: str, path: Path) -> Path:
    """What empanada's export makes of a network."""
    return save_scripted(released_tensors(network, architecture), path)


def write_config(path: Path, **changes: Any) -> Path:
    """The yaml beside an export; `changes` are fields of it, None leaves one out."""
    fields: dict[str, Any] = {
        "class_names": {1: "mito"},
        "labels": [1],
        "thing_list": [1],
        "norms": {"mean": 0.57571, "std": 0.12765},
        "padding_factor": 16,
        "model": "https://example.org/ours.pth",
        "model_quantized": None,
    }
    kept = {name: value for name, value in {**fields, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(kept))
    return path
