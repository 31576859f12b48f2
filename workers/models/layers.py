"""Convolution blocks that both networks are made of."""

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

    @property
    def convs(self) -> tuple[nn.Conv2d, nn.Conv2d]:
        """The depthwise and the pointwise one."""
        depthwise, pointwise = (conv for conv in self.sepconv if isinstance(conv, nn.Conv2d))
        return depthwise, pointwise


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


class Fusion(nn.ModuleList):
    """Two maps of one size side by side, then what `sepconv_norm` gives."""

    def __init__(self, in_channels: tuple[int, int], out_channels: int, kernel: int) -> None:
        super().__init__(sepconv_norm(sum(in_channels), out_channels, kernel, nn.ReLU(inplace=True)))
        self._in_channels = in_channels
        self._sizes = out_channels, kernel

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        x = torch.cat((first, second), dim=1)
        for layer in self:
            x = layer(x)
        return x

    def parted(self) -> tuple[SepConv, SepConv]:
        """A convolution for each map, with its share of the folded weights: the result is ReLU of the sum."""
        [(depthwise, pointwise)] = (layer.convs for layer in self if isinstance(layer, SepConv))
        first, second = (SepConv(channels, *self._sizes) for channels in self._in_channels)
        width = self._in_channels[0]
        for part, seen in ((first, slice(width)), (second, slice(width, None))):
            filters, mixing = part.convs
            filters.weight = nn.Parameter(depthwise.weight[seen])
            mixing.weight = nn.Parameter(pointwise.weight[:, seen])
        second.convs[1].bias = pointwise.bias
        return first, second


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
