"""Convolution blocks that both networks are made of."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SepConv(nn.Module):
    """Depthwise k x k convolution, then a pointwise one; neither has a bias."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.sepconv = nn.Sequential(
            nn.Conv2d(
                in_channels, in_channels, kernel, padding=(kernel - 1) // 2, groups=in_channels, bias=False
            ),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.sepconv(x)
        return y


def conv_norm(in_channels: int, out_channels: int) -> nn.Sequential:
    """1 x 1 convolution and BatchNorm."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels))


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, BatchNorm, ReLU."""
    padding = dilation * (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def sepconv_norm(in_channels: int, out_channels: int, kernel: int, activation: nn.Module) -> nn.Sequential:
    """Separable convolution that keeps the size, BatchNorm, `activation`."""
    return nn.Sequential(SepConv(in_channels, out_channels, kernel), nn.BatchNorm2d(out_channels), activation)


class Fusion(nn.Sequential):
    """Maps of one size side by side, then what `sepconv_norm` gives."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(*sepconv_norm(in_channels, out_channels, kernel, nn.ReLU(inplace=True)))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        x = torch.cat(tuple(maps), dim=1)
        for layer in self:
            x = layer(x)
        return x


class Float32Conv(nn.Conv2d):
    """A convolution in float32, whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x.float())
        return y


class Head(nn.Module):
    """Separable 5 x 5 convolution, then a 1 x 1 one with a bias, in float32, to the output's channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.head = nn.Sequential(
            sepconv_norm(in_channels, in_channels, 5, nn.ReLU(inplace=True)),
            Float32Conv(in_channels, out_channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(x)
        return y
