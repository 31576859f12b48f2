"""Packing: the form in which folded networks run on an x86-64 processor.

Convolutions become calls of oneDNN: the weights lie as its kernels read them, and what follows a
convolution (an activation, a residual block's sum) happens while its output is still in the cache.
Numbers: docs/performance.md.
"""

import platform
from collections.abc import Iterable
from copy import deepcopy
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor, nn

from workers.models.bands import RowBands
from workers.models.layers import Float32Conv, Fusion, Head, SepConv
from workers.models.panoptic import PanopticNetwork
from workers.models.panoptic_bifpn import Joint, Pass
from workers.models.point_rend import PointHead, PointLinear
from workers.models.resnet import Bottleneck, ResNet

Activation = Literal["none", "relu", "swish"]
AnyConv = nn.Conv2d | nn.ConvTranspose2d | PointLinear

_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.ReLU: "relu", nn.SiLU: "swish"}
_POINT_CHANNELS = 16  # what is computed at points has a multiple of these
_WIDEST_BF16_DILATION = 2  # for wider ones oneDNN falls back to kernels that are ten times slower


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this processor and this build of torch run packed networks in `dtype`."""
    # torch leaves this function without types.
    if platform.machine() != "x86_64" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@torch.no_grad()
def pack(network: PanopticNetwork) -> PanopticNetwork:
    """`network` itself (folded, on the CPU), packed in the dtype of its convolutions; for inference only.

    Packing what is packed changes nothing. The result has no weights that could be saved.
    """
    _pack_children(network, _fused_activations(network))
    return network


class PackedConv(nn.Module):
    """A convolution and its activation, as one call of oneDNN, in the data type of its weights.

    The first input packs the weights, since which layout is best depends on its size.
    """

    def __init__(self, conv: nn.Conv2d, activation: Activation) -> None:
        super().__init__()
        self._activation = activation
        self._bias = conv.bias
        self._geometry = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._weight = conv.weight.detach()  # no parameter: oneDNN's layouts cannot be one
        self._dtype = conv.weight.dtype
        self.reach = conv.dilation[0] * (conv.kernel_size[0] - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self._dtype)
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self._packed(x), self._bias, *self._geometry, self._activation, [], ""
        )
        return y

    def add_relu_to(self, other: Tensor, x: Tensor) -> Tensor:
        """`other`, which is now ReLU of the convolution of `x` plus what it was.

        The activation of this convolution is left out.
        """
        y: Tensor = torch.ops.mkldnn._convolution_pointwise_(
            other, x, self._packed(x), self._bias, *self._geometry, "add", 1.0, "relu", [], ""
        )
        return y

    def _packed(self, x: Tensor) -> Tensor:
        if not self._weight.is_mkldnn:
            self._weight = torch.ops.mkldnn._reorder_convolution_weight(
                self._weight, *self._geometry, x.shape
            )
        return self._weight


class PackedPool(nn.Module):
    """The largest of 3 x 3 at every second pixel of a map that is nowhere negative.

    torch's own also notes where each was found, in 64 bits a pixel.
    """

    def forward(self, x: Tensor) -> Tensor:
        # Numbers that are not negative have the order of the whole numbers that their bits spell.
        bits = x.view(torch.int16) if x.dtype == torch.bfloat16 else x
        rows = _largest_of_three(bits.transpose(1, 2)).transpose(1, 2)
        return _largest_of_three(rows.transpose(1, 3)).transpose(1, 3).view(x.dtype)


def _largest_of_three(x: Tensor) -> Tensor:
    """Of each even position along the second axis and the two beside it."""
    even, odd = x[:, 0::2], x[:, 1::2]
    y = even.clone()
    for centre, beside in ((y[:, : odd.shape[1]], odd), (y[:, 1:], odd[:, : y.shape[1] - 1])):
        torch.maximum(centre, beside, out=centre)
    return y


class PackedOutput(nn.Module):
    """The last layer of a head: float32, few channels, so that a plain matrix product is fastest."""

    def __init__(self, conv: Float32Conv) -> None:
        super().__init__()
        if conv.bias is None or conv.kernel_size != (1, 1):
            raise TypeError("not the last layer of a head")
        self._weight = conv.weight.detach()[:, :, 0, 0]  # (K, C)
        self._bias = conv.bias.detach()[:, None]

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, channels).float()
        y = torch.addmm(self._bias, self._weight, pixels.t())  # (K, N H W)
        return y.view(-1, n, height, width).transpose(0, 1)


class PackedTranspose(nn.Module):
    """A transposed convolution and its activation, as one call of oneDNN; its weights as in PackedConv."""

    def __init__(self, conv: nn.ConvTranspose2d, activation: Activation) -> None:
        super().__init__()
        self._activation = activation
        self._bias = conv.bias
        self._geometry = (conv.padding, conv.output_padding, conv.stride, conv.dilation, conv.groups)
        self._weight = conv.weight.detach()

    def forward(self, x: Tensor) -> Tensor:
        if not self._weight.is_mkldnn:
            self._weight = torch.ops.mkldnn._reorder_convolution_transpose_weight(
                self._weight, *self._geometry, x.shape
            )
        y: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
            x, self._weight, self._bias, *self._geometry, self._activation, [], ""
        )
        return y


class PackedPoints(nn.Module):
    """A linear layer over points (N, P, C) and its activation, as one call of oneDNN."""

    def __init__(self, layer: PointLinear, activation: Activation) -> None:
        super().__init__()
        self._activation = activation
        self._bias = layer.bias
        self._weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach()[:, :, 0].contiguous())

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, self._activation, [], "")
        return y


class PackedPointHead(nn.Module):
    """A `PointHead` in bf16 whose layers hand the coarse logits on to each other.

    To lay them beside each layer's output takes a good part of the layer's time. A logit passes ReLU as two
    numbers: what it is above zero, and below.
    """

    def __init__(self, head: PointHead) -> None:
        super().__init__()
        *hidden, predictor = (module for module in head.modules() if isinstance(module, PointLinear))
        features, self._classes = hidden[0].out_channels, predictor.out_channels
        self._spare = -(features + 2 * self._classes) % _POINT_CHANNELS
        handed_on = torch.eye(features + 2 * self._classes + self._spare)[features:]
        self._layers = nn.Sequential(
            *(PackedPoints(self._widened(layer, handed_on), "relu") for layer in hidden),
            PackedPoints(self._widened(predictor, handed_on[:0]), "none"),
        )

    def forward(self, features: Tensor, coarse: Tensor) -> Tensor:
        """As `PointHead` does."""
        nothing = coarse.new_zeros(()).expand(*coarse.shape[:2], self._spare)
        y: Tensor = self._layers(torch.cat((features, coarse.relu(), (-coarse).relu(), nothing), dim=2))
        return y

    def _widened(self, layer: PointLinear, handed_on: Tensor) -> PointLinear:
        """`layer` for logits in two parts; the rows of `handed_on` are outputs of their own."""
        learnt = layer.state_dict()
        weight = learnt["weight"][:, :, 0].float()
        of_features, of_logits = weight[:, : -self._classes], weight[:, -self._classes :]
        weight = F.pad(torch.cat((of_features, of_logits, -of_logits), dim=1), (0, self._spare))
        weight = torch.cat((weight, handed_on))
        wide = PointLinear(weight.shape[1], weight.shape[0]).bfloat16()
        bias = F.pad(learnt["bias"], (0, len(handed_on)))
        wide.load_state_dict({"weight": weight[:, :, None], "bias": bias})
        return wide


class ShiftedSum(nn.Module):
    """A wide atrous convolution that keeps the size, and ReLU: a matrix product per tap, moved and added."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        if conv.bias is None:
            raise TypeError("the convolution is not folded")
        self._bias = conv.bias.float()
        self._dilation = conv.dilation[0]
        self._side = conv.kernel_size[0]
        self._taps = [tap.contiguous() for tap in conv.weight.detach().permute(2, 3, 0, 1).flatten(0, 1)]

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1)  # (N, H, W, C)
        reach = self._dilation * (self._side - 1)
        # Sums in float32, with a margin for what falls outside.
        sums = self._bias.repeat(n, height + reach, width + reach, 1)
        for number, tap in enumerate(self._taps):
            row, column = divmod(number, self._side)
            top, left = reach - row * self._dilation, reach - column * self._dilation
            sums[:, top : top + height, left : left + width] += F.linear(pixels, tap)
        margin = reach // 2
        inside = sums[:, margin : margin + height, margin : margin + width]
        return inside.relu().to(x.dtype).permute(0, 3, 1, 2)


class PackedBottleneck(nn.Module):
    """A residual block, its sum and ReLU taken into its last convolution.

    A block without a convolution in its shortcut overwrites its input with its output: memory that was
    just read is written fastest.
    """

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.conv1 = PackedConv(block.conv1, "relu")
        self.conv2 = PackedConv(block.conv2, "relu")
        self.conv3 = PackedConv(block.conv3, "none")
        shortcut = None if block.downsample is None else block.downsample[0]
        self.downsample = PackedConv(shortcut, "none") if isinstance(shortcut, nn.Conv2d) else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.conv3.add_relu_to(shortcut, self.conv2(self.conv1(x)))


class PackedFusion(nn.Module):
    """Two maps side by side through a separable convolution, without laying them side by side.

    Each keeps its own share of the depthwise and of the pointwise convolution; the second's pointwise one
    adds to the first's, and takes ReLU, while its output is in the cache.
    """

    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        (depthwise, pointwise), (beside, adding) = (part.convs for part in fusion.parted())
        self.first = nn.Sequential(PackedConv(depthwise, "none"), PackedConv(pointwise, "none"))
        self.second = PackedConv(beside, "none")
        self.adding = PackedConv(adding, "none")

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.adding.add_relu_to(self.first(first), self.second(second))


class PackedJoint(nn.Module):
    """A `Joint` of a pyramid's pass.

    The largest share is in the depthwise weights: the other maps are added to one that stays as it is.
    """

    def __init__(
        self, resample: nn.Module, depthwise: nn.Conv2d, pointwise: PackedConv, shares: tuple[Tensor, ...]
    ) -> None:
        super().__init__()
        *ratios, unit = (float(share) for share in (*shares, max(shares)))
        self._largest = ratios.index(unit)
        del ratios[self._largest]
        # Without a positive weight nothing is left of any map.
        self._ratios = [ratio / unit if unit else 0.0 for ratio in ratios]
        scaled = deepcopy(depthwise)
        scaled.weight *= unit
        self._resample = resample
        self._depthwise = PackedConv(scaled, "none")
        self._pointwise = pointwise

    def forward(self, before: Tensor, level: Tensor, *more: Tensor) -> Tensor:
        maps = [before, self._resample(level), *more]
        joint = maps.pop(self._largest)
        for ratio, other in zip(self._ratios, maps, strict=True):
            joint = torch.add(joint, other, alpha=ratio)
        y: Tensor = self._pointwise(self._depthwise(joint))
        return y


class PackedPass(nn.Module):
    """A pass over a pyramid, ready to run."""

    def __init__(self, joints: Iterable[PackedJoint]) -> None:
        super().__init__()
        self._joints = nn.ModuleList(joints)

    def joints(self) -> list[Joint]:
        """As those of `Pass`."""
        return [joint for joint in self._joints if isinstance(joint, PackedJoint)]


def _fused_activations(network: nn.Module) -> dict[AnyConv, Activation]:
    """The activation that follows a convolution, by convolution; in `network` an Identity takes its place."""
    fused: dict[AnyConv, Activation] = {}
    for parent in network.modules():
        if isinstance(parent, ResNet) and isinstance(parent.conv1, nn.Conv2d):
            fused[parent.conv1] = "relu"
            parent.register_module("relu", nn.Identity())
        elif isinstance(parent, nn.Sequential) and not _of_one_pixel(parent):
            fused |= _fused_in(parent)
    return fused


def _fused_in(parent: nn.Sequential) -> dict[AnyConv, Activation]:
    fused: dict[AnyConv, Activation] = {}
    conv: AnyConv | None = None
    for name, child in parent.named_children():
        if conv is not None and type(child) in _ACTIVATIONS:
            fused[conv] = _ACTIVATIONS[type(child)]
            parent.register_module(name, nn.Identity())
        elif not isinstance(child, nn.Identity):
            convs = [module for module in child.modules() if isinstance(module, AnyConv)]
            conv = convs[-1] if convs else None
    return fused


def _pack_children(parent: nn.Module, fused: dict[AnyConv, Activation]) -> None:
    for name, child in list(parent.named_children()):
        if isinstance(child, AnyConv):
            # Taken out of `fused`, so that its weights are free to go.
            parent.register_module(name, _packed(child, fused.pop(child, "none")))
        elif isinstance(child, Bottleneck):
            parent.register_module(name, PackedBottleneck(child))
        elif isinstance(child, PointHead) and _is_bf16(child.predictor):
            parent.register_module(name, PackedPointHead(child))
        elif isinstance(child, Fusion):
            parent.register_module(name, PackedFusion(child))
        elif isinstance(child, Pass):
            parent.register_module(name, _packed_pass(child, fused))
        elif isinstance(child, nn.MaxPool2d):  # the stem's, after a ReLU
            parent.register_module(name, PackedPool())
        elif not _of_one_pixel(child):
            _pack_children(child, fused)
            if isinstance(child, Head):
                parent.register_module(name, _in_bands(child))


def _in_bands(head: Head) -> RowBands:
    """`head`, whose layers are packed, in bands of rows."""
    depthwise, *rest = (module for module in head.modules() if isinstance(module, PackedConv | PackedOutput))
    if not isinstance(depthwise, PackedConv):
        raise TypeError("not a head")
    return RowBands(depthwise.reach, depthwise, *rest)


def _packed_pass(child: Pass, fused: dict[AnyConv, Activation]) -> PackedPass:
    _pack_children(child.resamplings, fused)
    (convs,) = {  # of the one block that serves all levels
        part.convs for block in child.after_combines for part in block.modules() if isinstance(part, SepConv)
    }
    depthwise, pointwise = convs
    mixing = PackedConv(pointwise, fused.pop(pointwise, "none"))
    return PackedPass(
        PackedJoint(resample, depthwise, mixing, shares)
        for resample, shares in zip(child.resamplings, child.shares(), strict=True)
    )


def _of_one_pixel(module: nn.Module) -> bool:
    """Whether it computes on the mean of a map, where oneDNN gains nothing."""
    return isinstance(next(module.children(), None), nn.AdaptiveAvgPool2d)


def _packed(conv: AnyConv, activation: Activation) -> nn.Module:
    match conv:
        case Float32Conv():
            return PackedOutput(conv)
        case PointLinear():
            return PackedPoints(conv, activation)
        case nn.ConvTranspose2d():
            return PackedTranspose(conv, activation)
        case nn.Conv2d() if activation == "relu" and _too_wide(conv):
            return ShiftedSum(conv)
    return PackedConv(conv, activation)


def _too_wide(conv: nn.Conv2d) -> bool:
    return _is_bf16(conv) and conv.dilation[0] > _WIDEST_BF16_DILATION


def _is_bf16(layer: nn.Module) -> bool:
    """Whether `layer` has its weights, which what is packed has not, in bf16."""
    return isinstance(layer, AnyConv) and layer.weight.dtype == torch.bfloat16
