"""BiFPN (Tan et al. 2020, arXiv:1911.09070) in a panoptic network with PointRend (MitoNet-mini)."""

from functools import partial
from typing import Protocol, Self

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from pydantic import ConfigDict, PositiveInt, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from workers.models.layers import Fusion, conv_norm, sepconv_norm
from workers.models.panoptic import PanopticNetwork
from workers.models.place import Place
from workers.models.resnet import EncoderConfig, ResNet

LEVELS = 5  # P3 to P7
SIZE_MULTIPLE = 128  # sizes halve exactly down to P7
WEIGHT_EPSILON = 1e-4


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PanopticBiFPNConfig:
    """Sizes of the network; the defaults are those of MitoNet_v1_mini."""

    encoder: EncoderConfig = EncoderConfig(output_stride=32)
    fpn_channels: PositiveInt = 128
    fpn_layers: PositiveInt = 3
    num_classes: PositiveInt = 1

    @model_validator(mode="after")
    def _halve_at_every_level(self) -> Self:
        if self.encoder.output_stride != 32:
            raise ValueError("encoder.output_stride must be 32")
        return self


class Resample(nn.Module):
    """1 x 1 convolution and BatchNorm to the pyramid's channels; no activation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv_norm(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y


class Joint(Protocol):
    """Makes of a level of the pyramid what it is after a pass."""

    def __call__(self, before: Tensor, level: Tensor, *more: Tensor) -> Tensor:
        """`before` is the level that the pass came from, at this one's size; all but `level` are as wide."""


class Pass(nn.Module):
    """One pass over the five levels, in which each level takes up the one before.

    `weights` are those of the fast normalised fusion. One convolution block serves all levels; it has a
    key per level because the released state dicts repeat it so.
    """

    def __init__(self, in_channels: list[int], out_channels: int, inputs: int) -> None:
        """`in_channels` are those of the levels that are taken up, in order; `inputs` maps become each."""
        super().__init__()
        self.resamplings = nn.ModuleList(
            nn.Identity() if channels == out_channels else Resample(channels, out_channels)
            for channels in in_channels
        )
        block = sepconv_norm(out_channels, out_channels, 3, nn.SiLU(inplace=True))
        self.after_combines = nn.ModuleList([block] * len(in_channels))
        self.weights = nn.Parameter(torch.ones(LEVELS))
        self._inputs = inputs

    def joints(self) -> list[Joint]:
        """One for each level that takes up another, in the order of the pass."""
        return [
            partial(_joint, resample, conv, shares)
            for resample, conv, shares in zip(
                self.resamplings, self.after_combines, self.shares(), strict=True
            )
        ]

    def shares(self) -> list[tuple[Tensor, ...]]:
        """The shares of the maps in each level that takes up another; those of one level add up to 1."""
        positive = F.relu(self.weights)
        normalised = positive / (positive.sum() + WEIGHT_EPSILON)
        # A level's begin at its number; of three, the last level lacks one.
        windows = F.pad(normalised, (0, self._inputs - 2)).unfold(0, self._inputs, 1)
        windows = windows / (windows.sum(dim=1, keepdim=True) + WEIGHT_EPSILON)
        return [window[: LEVELS - number].unbind() for number, window in enumerate(windows)]


def _joint(
    resample: nn.Module,
    conv: nn.Module,
    shares: tuple[Tensor, ...],
    before: Tensor,
    level: Tensor,
    *more: Tensor,
) -> Tensor:
    joint = shares[0] * before
    for share, other in zip(shares[1:], (resample(level), *more), strict=True):
        joint += share * other
    y: Tensor = conv(joint)
    return y


class BiFPN(nn.Module):
    """A top-down pass, in which each level takes up the coarser one, and a bottom-up one.

    In the latter each level takes up the finer one, its own input and its top-down form.
    """

    def __init__(self, in_channels: list[int], out_channels: int) -> None:
        """`in_channels` are those of P3 to P7."""
        super().__init__()
        self.top_down_fpn = Pass(in_channels[-2::-1], out_channels, inputs=2)
        self.bottom_up_fpn = Pass(in_channels[1:], out_channels, inputs=3)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """[P3, ..., P7] to [P3, ..., P7], all as wide as P7, which the top-down pass leaves as it is."""
        down = [pyramid[-1]]
        for level, joint in zip(pyramid[-2::-1], self.top_down_fpn.joints(), strict=True):
            down.append(joint(_double(down[-1]), level))
        top_down = down[::-1]
        up = [top_down[0]]
        # P7 has no top-down form of its own.
        middle = [*((form,) for form in top_down[1:-1]), ()]
        for level, form, joint in zip(pyramid[1:], middle, self.bottom_up_fpn.joints(), strict=True):
            up.append(joint(_halve(up[-1]), level, *form))
        return up


class FeaturePyramid(nn.Module):
    """[p3, p4, p5] of the encoder to [P3, ..., P7], all with `fpn_channels`."""

    def __init__(self, config: PanopticBiFPNConfig) -> None:
        super().__init__()
        channels = config.fpn_channels
        encoder = list(config.encoder.channels[2:])
        self.p6_resample = Resample(encoder[-1], channels)
        first = BiFPN([*encoder, channels, channels], channels)
        rest = [BiFPN([channels] * LEVELS, channels) for _ in range(config.fpn_layers - 1)]
        self.bifpns = nn.ModuleList([first, *rest])

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        p6 = _halve(self.p6_resample(features[-1]))  # (N, D, H/64, W/64)
        pyramid = [*features, p6, _halve(p6)]
        for bifpn in self.bifpns:
            pyramid = bifpn(pyramid)
        return pyramid


class Decoder(nn.Module):
    """From P7 to a quarter of the image's size: doubles the size and takes up a finer level, five times."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.upsamplings = nn.ModuleList(
            _upsampling(channels if i == 0 else 2 * channels, channels) for i in range(LEVELS)
        )
        self.fusion = Fusion((channels, channels), channels, 5)

    def forward(self, p2: Tensor, pyramid: list[Tensor]) -> Tensor:
        *coarse, last = self.upsamplings
        x = pyramid[-1]
        for upsampling, skip in zip(coarse, pyramid[-2::-1], strict=True):
            x = torch.cat((upsampling(x), skip), dim=1)  # (N, 2D, .., ..)
        y: Tensor = self.fusion(last(x), p2)  # (N, D, H/4, W/4)
        return y


class PanopticBiFPNPR(PanopticNetwork):
    """One ResNet encoder, a semantic and an instance pyramid with a decoder each, three heads, PointRend."""

    size_multiple = SIZE_MULTIPLE

    def __init__(self, config: PanopticBiFPNConfig) -> None:
        super().__init__(config.fpn_channels, config.num_classes)
        self.encoder = ResNet(config.encoder)
        self.p2_resample = Resample(config.encoder.channels[1], config.fpn_channels)
        self.semantic_fpn = FeaturePyramid(config)
        self.instance_fpn = FeaturePyramid(config)
        self.semantic_decoder = Decoder(config.fpn_channels)
        self.instance_decoder = Decoder(config.fpn_channels)

    def decode(self, image: Tensor, _: list[Place]) -> tuple[Tensor, Tensor]:
        _, p2, *features = self.encoder(image)
        p2 = self.p2_resample(p2)  # (N, D, H/4, W/4)
        semantic = self.semantic_decoder(p2, self.semantic_fpn(features))
        instance = self.instance_decoder(p2, self.instance_fpn(features))
        return semantic, instance


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, 2, padding=1)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def _upsampling(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 2, 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
