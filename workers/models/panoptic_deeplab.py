"""Panoptic-DeepLab with PointRend (Cheng et al. 2020, arXiv:1911.10194; MitoNet: Conrad & Narayan 2023)."""

from typing import Annotated

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from pydantic import ConfigDict, Field, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from workers.models.layers import Fusion, conv_norm_relu
from workers.models.panoptic import PanopticNetwork
from workers.models.place import Place, enlarge
from workers.models.resnet import EncoderConfig, ResNet


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PanopticDeepLabConfig:
    """Sizes of the network; the defaults are those of MitoNet_v1, NucleoNet and DropNet."""

    encoder: EncoderConfig = EncoderConfig()
    decoder_channels: PositiveInt = 256
    aspp_channels: PositiveInt = 256
    atrous_rates: tuple[PositiveInt, PositiveInt, PositiveInt] = (2, 4, 6)
    low_level_channels: PositiveInt = 32
    """Channels that p2 is projected to in the semantic decoder."""
    instance_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The instance decoder projects p2 to this share of `low_level_channels`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """After the ASPP; in training only."""
    num_classes: PositiveInt = 1


class ImagePooling(nn.Module):
    """The mean over the whole map, projected and spread over the map again."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.aspp_pooling = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.aspp_pooling(x)  # (N, out, 1, 1)
        # Written out in the layout of x: a view would take the maps beside it out of channels last.
        return F.interpolate(pooled, size=x.shape[2:])


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: five views of one map, side by side, then projected."""

    def __init__(self, in_channels: int, config: PanopticDeepLabConfig) -> None:
        super().__init__()
        channels = config.aspp_channels
        self.convs = nn.ModuleList(
            [
                conv_norm_relu(in_channels, channels),
                *(conv_norm_relu(in_channels, channels, 3, rate) for rate in config.atrous_rates),
                ImagePooling(in_channels, channels),
            ]
        )
        self.project = nn.Sequential(
            *conv_norm_relu(5 * channels, config.decoder_channels), nn.Dropout(config.dropout)
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(torch.cat([conv(x) for conv in self.convs], dim=1))
        return y


class Decoder(nn.Module):
    """ASPP on p5, brought to p2's size and fused with it."""

    def __init__(self, config: PanopticDeepLabConfig, low_level_channels: int) -> None:
        super().__init__()
        _, p2_channels, _, _, p5_channels = config.encoder.channels
        channels = config.decoder_channels
        self._stride = config.encoder.output_stride
        self.aspp = ASPP(p5_channels, config)
        self.project = nn.Sequential(conv_norm_relu(p2_channels, low_level_channels))
        self.fuse = nn.Sequential(Fusion((channels, low_level_channels), channels, 5))

    def forward(self, p2: Tensor, p5: Tensor, places: list[Place]) -> Tensor:
        height, width = p2.shape[2:]
        context = enlarge(self.aspp(p5), (height, width), self._stride, places)  # (N, D, H/4, W/4)
        y: Tensor = self.fuse[0](context, self.project(p2))  # (N, D, H/4, W/4)
        return y


class PanopticDeepLabPR(PanopticNetwork):
    """One ResNet encoder, a semantic and an instance decoder, three heads, PointRend."""

    def __init__(self, config: PanopticDeepLabConfig) -> None:
        super().__init__(config.decoder_channels, config.num_classes)
        self.size_multiple = config.encoder.output_stride
        instance_channels = max(1, int(config.instance_ratio * config.low_level_channels))
        self.encoder = ResNet(config.encoder)
        self.semantic_decoder = Decoder(config, config.low_level_channels)
        self.instance_decoder = Decoder(config, instance_channels)

    def decode(self, image: Tensor, places: list[Place]) -> tuple[Tensor, Tensor]:
        _, p2, _, _, p5 = self.encoder(image)
        return self.semantic_decoder(p2, p5, places), self.instance_decoder(p2, p5, places)
