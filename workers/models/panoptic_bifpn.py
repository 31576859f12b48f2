"""BiFPN (Tan et al. 2020, arXiv:1911.09070) in a panoptic network with PointRend (MitoNet-mini)."""

from typing import Self

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


class Pass(nn.Module):
    """One pass over the five levels, in which each level takes up the one before.

    `weights` are those of the fast normalised fusion. One convolution block serves all levels; it has a
    key per level because the released state dicts repeat it so.
    """

    def __init__(self, in_channels: list[int], out_channels: int) -> None:
        """`in_channels` are those of the levels that are taken up, in order."""
        super().__init__()
        self.resamplings = nn.ModuleList(
            nn.Identity() if channels == out_channels else Resample(channels, out_channels)
            for channels in in_channels
        )
        block = sepconv_norm(out_channels, out_channels, 3, nn.SiLU(inplace=True))
        self.after_combines = nn.ModuleList([block] * len(in_channels))
        self.weights = nn.Parameter(torch.ones(LEVELS))

    def shares(self, inputs: int) -> list[tuple[Tensor, ...]]:
        """The shares of `inputs` maps in each level that takes up another; those of one level add up to 1."""
        positive = F.relu(self.weights)
        normalised = positive / (positive.sum() + WEIGHT_EPSILON)
        # A level's begin at its number; of three, the last level lacks one.
        windows = F.pad(normalised, (0, inputs - 2)).unfold(0, inputs, 1)  # (LEVELS - 1, inputs)
        return [level.unbind() for level in windows / (windows.sum(dim=1, keepdim=True) + WEIGHT_EPSILON)]


class TopDown(Pass):
    """From P7 to P3: each level takes up the coarser one."""

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        """[P3, ..., P7] to [P3, ..., P7], all with the pass's channels; P7 stays as it is."""
        fused = [pyramid[-1]]
        for level, resample, conv, (of_coarser, of_level) in zip(
            pyramid[-2::-1], self.resamplings, self.after_combines, self.shares(2), strict=True
        ):
            joint = of_level * resample(level)
            joint += F.interpolate(of_coarser * fused[-1], scale_factor=2.0, mode="nearest")
            fused.append(conv(joint))
        return fused[::-1]


class BottomUp(Pass):
    """From P3 to P7: each level takes up the finer one, its own input and its top-down form."""

    def forward(self, pyramid: list[Tensor], top_down: list[Tensor]) -> list[Tensor]:
        """[P3, ..., P7] of the layer's input and of the top-down pass to [P3, ..., P7]."""
        fused = [top_down[0]]
        for i, (resample, conv, (of_finer, of_level, of_top_down)) in enumerate(
            zip(self.resamplings, self.after_combines, self.shares(3), strict=True), start=1
        ):
            joint = of_finer * _halve(fused[-1])
            joint += of_level * resample(pyramid[i])
            if i + 1 < LEVELS:  # P7 has no top-down form of its own
                joint += of_top_down * top_down[i]
            fused.append(conv(joint))
        return fused


class BiFPN(nn.Module):
    """A top-down and a bottom-up pass."""

    def __init__(self, in_channels: list[int], out_channels: int) -> None:
        """`in_channels` are those of P3 to P7."""
        super().__init__()
        self.top_down_fpn = TopDown(in_channels[-2::-1], out_channels)
        self.bottom_up_fpn = BottomUp(in_channels[1:], out_channels)

    def forward(self, pyramid: list[Tensor]) -> list[Tensor]:
        fused: list[Tensor] = self.bottom_up_fpn(pyramid, self.top_down_fpn(pyramid))
        return fused


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


def _upsampling(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(in_channels, out_channels, 2, 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
