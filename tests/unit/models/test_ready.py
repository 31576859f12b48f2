"""A network made ready, packed where the processor takes that, gives what the plain one gives."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.starter import starter_card
from emserve.cards import Catalogue
from workers.models.fold import fold
from workers.models.packed import PackedConv, PackedPointHead, PackedPool, ShiftedSum, can_pack
from workers.models.panoptic import PanopticNetwork
from workers.models.panoptic_bifpn import Pass
from workers.models.point_rend import PointHead, PointLinear
from workers.models.ready import DTYPES, Precision, make_ready
from workers.models.registry import build
from workers.models.shelf import Shelf

_ENCODER = {"blocks": (1, 2, 1, 1), "stem_channels": 16, "base_channels": 8}
_SMALL: dict[str, dict[str, Any]] = {
    "panoptic_deeplab_pr": {"encoder": _ENCODER, "decoder_channels": 32, "aspp_channels": 32},
    "panoptic_bifpn_pr": {"encoder": {**_ENCODER, "output_stride": 32}, "fpn_channels": 32},
}

needs_packing = pytest.mark.skipif(
    not can_pack(torch.bfloat16), reason="this processor runs no packed networks in bf16"
)


def small(architecture: str) -> PanopticNetwork:
    """Always the same weights, the BatchNorms' among them."""
    torch.manual_seed(1)
    network = build(architecture, _SMALL[architecture])
    for norm in (module for module in network.modules() if isinstance(module, nn.BatchNorm2d)):
        norm.weight.data.uniform_(0.5, 1.5)
        norm.bias.data.uniform_(-0.2, 0.2)
    for each in (module for module in network.modules() if isinstance(module, Pass)):
        each.weights.data.uniform_(-0.5, 1.0)  # what is below 0 counts as 0
    return fold(network)


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("shape", [(1, 1, 128, 128), (2, 1, 128, 256)])
@pytest.mark.parametrize("architecture", _SMALL)
@torch.inference_mode()
def test_fp32_differs_from_the_plain_network_by_rounding_only(
    architecture: str, shape: tuple[int, ...]
) -> None:
    plain, ready = small(architecture), make_ready(small(architecture))
    image = images(*shape)
    expected, found = plain(image), ready(image)
    for name in ("coarse_logits", "features", "ctr_hmp", "offsets"):
        reference = getattr(expected, name)
        assert (getattr(found, name) - reference).abs().max() <= 1e-4 * reference.std(), name
    # Of two points that are equally uncertain up to rounding, either may be refined.
    difference = (ready.render(found) - plain.render(expected)).abs()
    assert (difference > 1e-4).float().mean() <= 1e-3


@torch.inference_mode()
def test_a_pyramid_whose_weights_all_count_as_nothing_differs_by_rounding_only() -> None:
    plain, ready = small("panoptic_bifpn_pr"), small("panoptic_bifpn_pr")
    for network in (plain, ready):
        for each in (module for module in network.modules() if isinstance(module, Pass)):
            each.weights.fill_(-1)
    image = images(1, 1, 128, 128)
    expected, found = plain(image), make_ready(ready)(image)
    assert (found.ctr_hmp - expected.ctr_hmp).abs().max() <= 1e-4 * expected.ctr_hmp.std()


@pytest.mark.parametrize("architecture", _SMALL)
@torch.inference_mode()
def test_bf16_is_near_and_its_heads_are_not_rounded(architecture: str) -> None:
    plain, ready = small(architecture), make_ready(small(architecture), precision="bf16")
    image = images(1, 1, 128, 128)
    expected, found = plain(image), ready(image.bfloat16())
    for name in ("coarse_logits", "ctr_hmp", "offsets"):
        reference, given = getattr(expected, name), getattr(found, name)
        assert (given - reference).std() <= 0.05 * reference.std(), name
        assert not torch.equal(given, given.bfloat16().float()), name
    assert ready.render(found).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(2, 3, 8, 10), (1, 2, 7, 9), (1, 1, 1, 1), (1, 4, 2, 1)])
@torch.inference_mode()
def test_a_packed_pool_finds_the_same_maxima(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    x = images(*shape).relu().to(dtype).contiguous(memory_format=torch.channels_last)
    before = x.clone()
    assert torch.equal(PackedPool()(x), nn.MaxPool2d(3, 2, padding=1)(x))
    assert torch.equal(x, before)


@needs_packing
@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("features", [32, 40])
@torch.inference_mode()
def test_a_packed_point_head_gives_what_the_plain_one_gives(features: int, classes: int) -> None:
    torch.manual_seed(1)
    plain = PointHead(features, classes)
    for layer in (module for module in plain.modules() if isinstance(module, PointLinear)):
        layer.weight[:, features:] *= 3  # so that the logits count
    at_points, logits = images(2, 700, features), 2 * images(2, 700, classes)
    expected = plain(at_points, logits)
    packed = PackedPointHead(deepcopy(plain).bfloat16())
    found = packed(at_points.bfloat16(), logits.bfloat16())
    assert found.shape == expected.shape
    assert (found.float() - expected).std() <= 0.02 * expected.std()
    without = plain(at_points, torch.zeros_like(logits))
    assert (without - expected).std() > 0.2 * expected.std()  # a head that forgot them would be seen


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@torch.inference_mode()
def test_a_network_packed_for_one_size_takes_others(precision: Any) -> None:
    ready = make_ready(small("panoptic_deeplab_pr"), precision=precision)
    plain = small("panoptic_deeplab_pr")
    for shape in [(1, 1, 128, 128), (1, 1, 16, 16), (3, 1, 16, 48), (1, 1, 80, 256)]:
        image = images(*shape)
        expected = plain(image).offsets
        found = ready(image.to(torch.float32 if precision == "fp32" else torch.bfloat16)).offsets
        assert (found - expected).std() <= 0.05 * expected.std()


@needs_packing
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@torch.inference_mode()
def test_making_ready_what_is_ready_changes_nothing(precision: Precision) -> None:
    ready = make_ready(small("panoptic_bifpn_pr"), precision=precision)
    image = images(1, 1, 128, 128).to(DTYPES[precision])
    before = ready(image)
    modules = list(ready.modules())
    again = make_ready(ready, precision=precision)
    assert list(again.modules()) == modules
    assert torch.equal(again(image).offsets, before.offsets)


@needs_packing
def test_every_convolution_over_a_map_is_packed() -> None:
    for architecture in _SMALL:
        ready = make_ready(small(architecture), precision="bf16")
        plain = [name for name, module in ready.named_modules() if isinstance(module, nn.Conv2d)]
        assert all("aspp_pooling" in name for name in plain)
        assert any(isinstance(module, PackedConv) for module in ready.modules())


@pytest.mark.parametrize("dilation", [1, 4, 6])
@pytest.mark.parametrize("shape", [(1, 8, 20, 31), (2, 8, 3, 5)])
def test_a_shifted_sum_is_the_atrous_convolution(dilation: int, shape: tuple[int, ...]) -> None:
    conv = nn.Conv2d(8, 6, 3, padding=dilation, dilation=dilation).requires_grad_(False)
    x = images(*shape)
    torch.testing.assert_close(ShiftedSum(conv)(x), conv(x).relu(), atol=1e-5, rtol=1e-5)


@pytest.fixture
def loaded() -> Callable[[Any], list[str]]:
    """Which of two cards with the same weights stay on a shelf that has room for one and a half in fp32."""

    def load(precision: Any) -> list[str]:
        catalogue = Catalogue(Path("no folder of models"))
        card = starter_card()
        weights = catalogue.weights(card)
        assert weights is not None
        with torch.device("meta"):
            network = build(card.architecture, card.architecture_config)
        budget = 6 * sum(parameter.numel() for parameter in network.parameters())
        shelf = Shelf("cpu", budget, precision)
        for version in ("a", "b"):
            shelf.get(card.model_copy(update={"version": version}), weights)
        return [resident.id for resident in shelf.residents()]

    return load


def test_in_bf16_twice_as_many_models_stay_warm(loaded: Callable[[Any], list[str]]) -> None:
    assert len(loaded("fp32")) == 1
    assert len(loaded("bf16")) == 2


def test_fp32_is_not_rounded_on_a_gpu() -> None:
    torch.backends.cudnn.allow_tf32 = True  # as torch has it
    make_ready(fold(small("panoptic_deeplab_pr").eval()))
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
