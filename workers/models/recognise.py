"""Recognising a network by the names and shapes of its tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from emserve.errors import UserError

_MOST_NAMED = 5
_STAGES = (1, 2, 3, 4)


class UnknownNetwork(UserError):
    """The tensors belong to no network that emserve can run."""

    def __init__(self, reason: str, tensors: Mapping[str, Tensor]) -> None:
        first = ", ".join(list(tensors)[:_MOST_NAMED])
        super().__init__(
            f"This is no network that emserve knows: {reason}. It knows Panoptic-DeepLab and panoptic BiFPN, "
            "both with PointRend, on a ResNet of bottleneck blocks. "
            f"The file has {len(tensors)} tensors, such as {first}."
        )


@dataclass(frozen=True)
class Recognised:
    """A network's place in the registry, and what is known of it."""

    architecture: str
    config: dict[str, Any]  # the fields differ from one architecture to the next
    channels: int
    """Of its semantic output: 1, or one per class and one for the background."""
    fused: bool
    """Whether BatchNorm is folded into the encoder's convolutions, as in released archives."""


def recognise(tensors: Mapping[str, Tensor]) -> Recognised:
    """The network that these tensors, fused or plain, are the weights of.

    Output stride and dilations leave no trace in the weights: they are those of the released networks.
    Raises UnknownNetwork. Whether every tensor fits is for `from_released` to say.
    """
    shapes = _Shapes(tensors)
    if not shapes.any_below("semantic_pr.point_head"):
        raise UnknownNetwork("it has no PointRend (semantic_pr.point_head)", tensors)
    channels = shapes.of("semantic_head.head.1")[0]
    width = shapes.of("semantic_head.head.0.0.sepconv.0")[0]
    if shapes.any_below("semantic_fpn"):
        name = "panoptic_bifpn_pr"
        config: dict[str, Any] = {
            "encoder": {**_encoder(shapes), "output_stride": 32},
            "fpn_channels": width,
            "fpn_layers": shapes.count("semantic_fpn.bifpns"),
        }
    elif shapes.any_below("semantic_decoder.aspp"):
        name = "panoptic_deeplab_pr"
        low, instance = (shapes.of(f"{kind}_decoder.project.0.0")[0] for kind in ("semantic", "instance"))
        config = {
            "encoder": _encoder(shapes),
            "decoder_channels": width,
            "aspp_channels": shapes.of("semantic_decoder.aspp.convs.0.0")[0],
            "low_level_channels": low,
            "instance_ratio": _ratio(instance, low),
        }
    else:
        raise UnknownNetwork("it has neither semantic_decoder.aspp nor semantic_fpn", tensors)
    fused = not shapes.any_below("encoder.bn1")
    return Recognised(name, {**config, "num_classes": channels}, channels, fused)


class _Shapes:
    """Shapes of weights by layer, whether an activation was fused to the layer or not."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def of(self, layer: str) -> tuple[int, ...]:
        """Shape of a layer's weight. Raises UnknownNetwork."""
        for name in (f"{layer}.weight", f"{layer}.0.weight"):
            if name in self._tensors and self._tensors[name].numel() and self._tensors[name].ndim:
                return tuple(self._tensors[name].shape)
        raise UnknownNetwork(f"it has no {layer}.weight", self._tensors)

    def any_below(self, module: str) -> bool:
        return any(key.startswith(module + ".") for key in self._tensors)

    def count(self, module: str) -> int:
        """How many modules there are in a list of them."""
        start = module + "."
        return len({key[len(start) :].split(".", 1)[0] for key in self._tensors if key.startswith(start)})


def _encoder(shapes: _Shapes) -> dict[str, Any]:
    base = shapes.of("encoder.layer1.0.conv1")[0]
    return {
        "blocks": [shapes.count(f"encoder.layer{stage}") for stage in _STAGES],
        "stem_channels": shapes.of("encoder.conv1")[0],
        "base_channels": base,
        "expansion": max(1, shapes.of("encoder.layer1.0.conv3")[0] // base),
    }


def _ratio(part: int, whole: int) -> float:
    """A share of `whole` that gives `part` when it is rounded down."""
    exact = part / whole
    return exact if int(exact * whole) == part else (part + 0.5) / whole
