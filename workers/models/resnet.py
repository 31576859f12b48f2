"""ResNet encoder for grey images (He et al. 2016, arXiv:1512.03385; the stride in the 3 x 3 convolution)."""

from typing import Literal

from pydantic import ConfigDict, PositiveInt
from pydantic.dataclasses import dataclass
from torch import Tensor, nn


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class EncoderConfig:
    """Depth and width of the encoder; the defaults are ResNet-50 at output stride 16."""

    blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (3, 4, 6, 3)
    """Bottleneck blocks per stage."""
    stem_channels: PositiveInt = 64
    base_channels: PositiveInt = 64
    """Inner width of the first stage's blocks; it doubles with each stage."""
    expansion: PositiveInt = 4
    """A block's output is this many times wider than its inner convolutions."""
    output_stride: Literal[16, 32] = 16
    """Stride of the last stage. 16: that stage keeps the size, and its 3 x 3 convolutions have dilation 2."""

    @property
    def channels(self) -> tuple[int, int, int, int, int]:
        """Channels of p1 to p5."""
        first = self.base_channels * self.expansion
        return (self.stem_channels, first, 2 * first, 4 * first, 8 * first)


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions beside a shortcut."""

    def __init__(self, in_channels: int, width: int, out_channels: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        y += x if self.downsample is None else self.downsample(x)
        z: Tensor = self.relu(y)
        return z


class ResNet(nn.Module):
    """Image (N, 1, H, W) to the pyramid [p1, ..., p5]."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        c1, c2, c3, c4, c5 = config.channels
        last_stride, last_dilation = (1, 2) if config.output_stride == 16 else (2, 1)
        self.conv1 = nn.Conv2d(1, c1, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(c1)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        n1, n2, n3, n4 = config.blocks
        self.layer1 = _stage(n1, (c1, c2), config.expansion)
        self.layer2 = _stage(n2, (c2, c3), config.expansion, stride=2)
        self.layer3 = _stage(n3, (c3, c4), config.expansion, stride=2)
        self.layer4 = _stage(n4, (c4, c5), config.expansion, stride=last_stride, dilation=last_dilation)

    def forward(self, x: Tensor) -> list[Tensor]:
        p1 = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, c1, H/4, W/4)
        p2 = self.layer1(p1)  # (N, c2, H/4, W/4)
        p3 = self.layer2(p2)  # (N, c3, H/8, W/8)
        p4 = self.layer3(p3)  # (N, c4, H/16, W/16)
        p5 = self.layer4(p4)  # (N, c5, H/16, W/16), or 1/32 at output stride 32
        return [p1, p2, p3, p4, p5]


def _stage(
    blocks: int, channels: tuple[int, int], expansion: int, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    in_channels, out_channels = channels
    width = out_channels // expansion
    first = Bottleneck(in_channels, width, out_channels, stride, dilation)
    rest = [Bottleneck(out_channels, width, out_channels, 1, dilation) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
