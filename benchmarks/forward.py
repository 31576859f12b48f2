"""The networks' forward pass, on one thread."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.clock import timed
from benchmarks.table import Table, seconds
from emserve.cards import Catalogue
from workers.models.fold import fold
from workers.models.panoptic import Heads, PanopticNetwork
from workers.models.registry import build

MODELS = ("mitonet@1", "mitonet-mini@1", "mitonet@starter")
MODES = ("fp32", "fp32, channels last", "bf16, channels last")


@dataclass(frozen=True)
class Forward:
    """Processor seconds on one thread for one image of `side` pixels; random weights."""

    model: str
    side: int
    mode: str
    network_s: float
    """Encoder, decoders and heads."""
    rendering_s: float
    """PointRend."""

    @property
    def total_s(self) -> float:
        return self.network_s + self.rendering_s


def measure_forward(model: str, side: int, mode: str, repeats: int = 2) -> Forward:
    """The faster of `repeats` runs, of which the first warms up."""
    network = _network(model)
    image = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(1))
    if "channels last" in mode:
        # torch's types leave memory_format out.
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        image = image.contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), _one_thread(), torch.autocast("cpu", torch.bfloat16, enabled="bf16" in mode):
        parts = [_run(network, image) for _ in range(repeats)]
    network_s, rendering_s = min(parts, key=sum)
    return Forward(model, side, mode, network_s, rendering_s)


def _network(model: str) -> PanopticNetwork:
    """The architecture of a card with fresh weights: what they are does not change the time."""
    card = Catalogue(Path("no folder of models")).find(model)
    torch.manual_seed(1)
    return fold(build(card.architecture, card.architecture_config).eval())


def _run(network: PanopticNetwork, image: Tensor) -> tuple[float, float]:
    heads, network_s = timed(lambda: _heads(network, image))
    _, rendering_s = timed(lambda: network.render(heads))
    return network_s, rendering_s


def _heads(network: PanopticNetwork, image: Tensor) -> Heads:
    heads: Heads = network(image)
    return heads


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
        )
        for run in runs
    )
    head = ("model", "image", "mode", "forward", "PointRend", "of fp32")
    return Table("Forward pass", head, rows, "Processor time, one thread, PointRend included.")
