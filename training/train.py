"""Trains a panoptic network on phantoms: `python -m training.train RUN --model mitonet --minutes 60`."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from training.augment import NORMS, random_crop
from training.losses import (
    LossWeights,
    centre_loss,
    choose_points,
    hard_pixel_loss,
    offset_loss,
    point_loss,
)
from training.pool import PhantomPool
from training.starters import STARTERS, Family, Starter
from training.targets import make_targets
from workers.models.panoptic import PanopticNetwork
from workers.models.panoptic_deeplab import ImagePooling
from workers.models.registry import build

_KEEP_SECONDS = 120
_EMPTY_PASSED_OVER = 0.6  # of crops without an object: rare objects are seen more often
_FEWEST = 16  # phantoms; a training on fewer would learn them by heart before more come

ARCHITECTURE = "panoptic_deeplab_pr"
STARTER_CONFIG: dict[str, Any] = {  # the fields are those of the architecture's configuration class
    "encoder": {"blocks": [2, 2, 3, 2], "stem_channels": 32, "base_channels": 32, "expansion": 2},
    "decoder_channels": 64,
    "aspp_channels": 96,
    "low_level_channels": 16,
    "instance_ratio": 0.5,
    "dropout": 0.1,
}
"""The starter: a small encoder and a narrow decoder, quick on a laptop."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast to learn."""

    minutes: float
    side: int = 224
    batch: int = 8
    peak_rate: float = 2e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.03
    """Share of the time in which the rate rises."""
    points: int = 1024
    """PointRend's points per image."""
    average: float = 0.998
    """Decay of the weights' running average, which is what is kept."""


class Crops(IterableDataset[tuple[Tensor, ...]]):
    """Crops without end: image (1, S, S) normalised, then the targets' four tensors."""

    def __init__(self, pool: PhantomPool, starter: Starter, side: int, seed: int) -> None:
        self._pool, self._starter, self._side, self._seed = pool, starter, side, seed

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        rng = np.random.default_rng((self._seed, worker.id if worker else 0))
        while True:
            crop = random_crop(rng, self._pool.draw(rng), self._starter, self._side)
            if not crop.labels.any() and rng.random() < _EMPTY_PASSED_OVER:
                continue
            image = ((crop.image - NORMS.mean) / NORMS.std).astype(np.float32)
            targets = make_targets(crop.labels)
            arrays = (image[None], targets.semantic, targets.centre, targets.offset, targets.inside)
            yield tuple(torch.from_numpy(array) for array in arrays)


def batch_loss(
    network: PanopticNetwork, batch: tuple[Tensor, ...], points: int, generator: torch.Generator
) -> Tensor:
    """The weighted sum of all losses on one batch, all parts on the network's device."""
    image, semantic, centre, offset, inside = batch
    weights = LossWeights()
    with torch.autocast(image.device.type, torch.bfloat16):
        heads = network(image.contiguous(memory_format=torch.channels_last))
    coarse = heads.coarse_logits.float()
    chosen = choose_points(coarse.detach(), points, generator)
    refined = network.semantic_pr(coarse, heads.features.float(), chosen)  # (N, P, 1)
    full = functional.interpolate(coarse, semantic.shape[2:], mode="bilinear", align_corners=False)
    return (
        weights.semantic * hard_pixel_loss(full, semantic)
        + weights.centre * centre_loss(heads.ctr_hmp.float(), centre)
        + weights.offset * offset_loss(heads.offsets.float(), offset, inside)
        + weights.points * point_loss(refined.transpose(1, 2), semantic, chosen)
    )


def keep_depthwise_exact(network: PanopticNetwork) -> None:
    """Lets depthwise convolutions run in float32, whose backward pass takes a CPU a third of the time."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            module.forward = partial(_in_float32, module)  # type: ignore[method-assign]  # for training only


def ignore_image_mean(network: PanopticNetwork) -> None:
    """Silences the branch that sees the mean over the whole image: a tile is to see what the whole sees.

    Learned, it moves every decision with the size of the tile, and does not raise the score.
    """
    for module in network.modules():
        if isinstance(module, ImagePooling):
            for parameter in module.parameters():
                nn.init.zeros_(parameter).requires_grad_(False)


def _in_float32(conv: nn.Conv2d, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return functional.conv2d(
            x.float(), conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups
        )


def learning_rate(recipe: Recipe, done: float) -> float:
    """A short rise, then half a cosine down to nothing; `done` runs from 0 to 1."""
    if done < recipe.warm_up:
        return recipe.peak_rate * done / recipe.warm_up
    rest = (done - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.peak_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))


def train(
    network: PanopticNetwork, pool: PhantomPool, starter: Starter, recipe: Recipe, seed: int, run: Path
) -> None:
    """Trains `network` for the recipe's minutes; the running average of its weights is kept in `run`."""
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    averaged = AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(recipe.average),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    keep_depthwise_exact(network)
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, recipe.peak_rate, weight_decay=recipe.weight_decay)
    crops = Crops(pool, starter, recipe.side, seed)
    batches = iter(DataLoader(crops, batch_size=recipe.batch, num_workers=1, prefetch_factor=4))
    with _bar() as bar:
        task = bar.add_task("training", total=1.0, crops=0, loss=float("nan"))
        begun = saved = time.monotonic()
        smooth, step = float("nan"), 0
        while (done := (time.monotonic() - begun) / (60 * recipe.minutes)) < 1:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(recipe, done)
            loss = batch_loss(network, next(batches), recipe.points, generator)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(learned, 5.0)
            optimizer.step()
            averaged.update_parameters(network)
            step += 1
            smooth = loss.item() if math.isnan(smooth) else 0.98 * smooth + 0.02 * loss.item()
            bar.update(task, completed=done, crops=step * recipe.batch, loss=smooth)
            if time.monotonic() - saved > _KEEP_SECONDS:
                _keep(averaged, run)
                saved = time.monotonic()
    _keep(averaged, run)


def _keep(averaged: AveragedModel, run: Path) -> None:
    torch.save(averaged.module.state_dict(), run / "network.pt")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[crops]} crops  loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )


def main(
    run: Annotated[Path, typer.Argument(help="Folder that gets network.pt")],
    model: Annotated[Family, typer.Option(help="What to segment")] = Family.MITONET,
    pool: Annotated[Path, typer.Option(help="Folder of phantoms")] = Path("training/runs/pool"),
    minutes: Annotated[float, typer.Option(help="How long to train")] = 60,
    seed: Annotated[int, typer.Option()] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads; 0 takes torch's default")] = 0,
    start: Annotated[
        Path | None, typer.Option(help="What to go on from: the folder of a run, or released .safetensors")
    ] = None,
    peak_rate: Annotated[float, typer.Option(help="Highest learning rate")] = 2e-3,
) -> None:
    """Train a starter network on the phantoms in POOL; `training.pool` makes them meanwhile."""
    if threads:
        torch.set_num_threads(threads)
    network = build(ARCHITECTURE, STARTER_CONFIG)
    if start is not None:
        network.load_state_dict(_weights(start))
    ignore_image_mean(network)
    train(network, _filled(pool), STARTERS[model], Recipe(minutes, peak_rate=peak_rate), seed, run)


def _weights(start: Path) -> dict[str, Tensor]:
    if start.suffix != ".safetensors":
        return dict(torch.load(start / "network.pt", weights_only=True))
    tensors = load_file(start)
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }


def _filled(folder: Path) -> PhantomPool:
    """The pool, once it holds enough phantoms to begin with."""
    pool = PhantomPool(folder)
    if len(pool) < _FEWEST:
        typer.echo(
            f"waiting for {_FEWEST} phantoms in {folder}; `python -m training.pool` makes them", err=True
        )
    while len(pool) < _FEWEST:
        time.sleep(1)
    return pool


if __name__ == "__main__":
    typer.run(main)
