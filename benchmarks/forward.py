"""The networks' forward pass, on one thread."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import fastest, timed
from benchmarks.table import Table, seconds
from emserve.cards import Catalogue, ModelCard
from workers.models.fold import fold
from workers.models.panoptic import Heads, PanopticNetwork
from workers.models.ready import DTYPES, Precision, make_ready
from workers.models.registry import build
from workers.models.weights import outline

MODELS = ("mitonet@1", "mitonet-mini@1", "mitonet@starter")
Mode = Literal["fp32, plain torch", "bf16, plain torch", "fp32", "bf16"]
MODES: tuple[Mode, ...] = ("fp32, plain torch", "bf16, plain torch", "fp32", "bf16")
"""Plain torch: channels last, and bf16 by autocast. The others are the network as the service runs it."""
_FEWEST_RUNS = 3


@dataclass(frozen=True)
class Forward:
    """Processor seconds on one thread for one image of `side` pixels; random weights."""

    model: str
    side: int
    mode: Mode
    network_s: float
    """Encoder, decoders and heads."""
    rendering_s: float
    """PointRend."""
    floor_s: float
    """What as many multiplications take in one product of large matrices, measured in the same minute."""

    @property
    def total_s(self) -> float:
        return self.network_s + self.rendering_s


def measure_forward(
    model: str, side: int, mode: Mode, at_least_s: float = 0.0, matrix: int = 2048
) -> Forward:
    """The fastest of three or more runs, which take `at_least_s` together, after one that warms up.

    The floor is that of matrices of side `matrix`."""
    card = Catalogue(Path("no folder of models")).find(model)
    precision: Precision = "bf16" if mode.startswith("bf16") else "fp32"
    plain = mode.endswith("plain torch")
    image = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), _one_thread():
        network = _network(card, None if plain else precision)
        image = image.to(torch.float32 if plain else DTYPES[precision])
        with torch.autocast("cpu", torch.bfloat16, enabled=plain and precision == "bf16"):
            network_s, rendering_s = min(_runs(network, image, at_least_s), key=sum)
        floor_s = operations(card, side) / _operations_per_second(precision, matrix)
    return Forward(model, side, mode, network_s, rendering_s, floor_s)


def _network(card: ModelCard, precision: Precision | None) -> PanopticNetwork:
    """The architecture of a card with fresh weights: what they are does not change the time."""
    torch.manual_seed(1)
    network = fold(build(card.architecture, card.architecture_config).eval())
    if precision is not None:
        return make_ready(network, precision=precision)
    # torch's types leave memory_format out.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _runs(network: PanopticNetwork, image: Tensor, at_least_s: float) -> Iterator[tuple[float, float]]:
    """Short runs are disturbed as a whole, so they want many."""
    _run(network, image)
    spent, runs = 0.0, 0
    while runs < _FEWEST_RUNS or spent < at_least_s:
        parts = _run(network, image)
        spent, runs = spent + sum(parts), runs + 1
        yield parts


def _run(network: PanopticNetwork, image: Tensor) -> tuple[float, float]:
    heads, network_s = timed(lambda: _heads(network, image))
    _, rendering_s = timed(lambda: network.render(heads))
    return network_s, rendering_s


def _heads(network: PanopticNetwork, image: Tensor) -> Heads:
    heads: Heads = network(image)
    return heads


def operations(card: ModelCard, side: int) -> int:
    """Multiplications and additions of one image, counted on the network's outline."""
    network = fold(outline(card))
    with FlopCounterMode(display=False) as counter:
        network.render(network(torch.empty(1, 1, side, side, device="meta")))
    return int(counter.get_total_flops())


def _operations_per_second(precision: Precision, side: int) -> float:
    """Of a product of large matrices: the most that this core gives."""
    matrix = torch.ones(side, side, dtype=DTYPES[precision])
    return 2 * side**3 / fastest(lambda: matrix @ matrix, 5)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def table(runs: tuple[Forward, ...]) -> Table:
    first = {(run.model, run.side): run.total_s for run in runs if run.mode == MODES[0]}
    rows = tuple(
        (
            run.model,
            f"{run.side} x {run.side}",
            run.mode,
            seconds(run.total_s),
            f"{run.rendering_s / run.total_s:.0%}",
            f"{run.total_s / first.get((run.model, run.side), run.total_s):.2f}",
            seconds(run.floor_s),
        )
        for run in runs
    )
    head = ("model", "image", "mode", "forward", "PointRend", "of the first", "floor")
    note = (
        "Processor time, one thread, PointRend included. "
        "Floor: as many operations in one product of large matrices."
    )
    return Table("Forward pass", head, rows, note)
