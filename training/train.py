"""Trains a starter model on phantoms: `python -m training.train RUN --model mitonet`."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from emserve.cards import STARTER
from training.checkpoint import Configuration, Learner, TrainingStopped, keep, resume
from training.crops import Crops
from training.losses import (
    LossWeights,
    centre_loss,
    choose_points,
    hard_pixel_loss,
    kinds_loss,
    offset_loss,
    point_loss,
)
from training.pool import OtherGenerator, PhantomPool, check
from training.precision import gains_by_bf16
from training.recipe import Recipe
from training.run_log import Losses, RunLog
from training.starter_network import STARTER_CONFIG, fill_with_packaged, organelle_teller, starter_network
from training.starters import STARTERS, Family

_STEEPEST = 5.0  # norm of the gradient
_GENTLE_RATE = 4e-4  # what has learnt would forget at the rate that random weights want, and learn it anew
_FEWEST = 64  # phantoms; a training on fewer would learn them by heart before more come


class PoolNotFilled(TrainingStopped):
    """The pool holds too few phantoms to begin with, and nobody makes more."""


def train(run: Path, pool: PhantomPool, configuration: Configuration, keep_seconds: float = 120) -> None:
    """Trains, or goes on with, the network of `run`; it keeps a checkpoint, a log and a plot there.

    Raises OtherConfiguration where the run was begun with another one, and CannotKeep on a full disk.
    """
    recipe = configuration.recipe
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    learner = new_learner(configuration, device)
    done = resume(run, configuration, learner)
    keep(run, configuration, learner, done)  # a folder that cannot be written shows before the work
    log = RunLog(run)
    log.begin(done * recipe.batch)
    batches = _batches(pool, configuration, done)
    kept = time.monotonic()
    with _bar() as bar:
        task = bar.add_task("training", total=recipe.steps * recipe.batch, loss=float("nan"))
        for step in range(done, recipe.steps):
            rate = recipe.rate(step / recipe.steps)
            losses = _learn(learner, [part.to(device) for part in next(batches)], recipe, rate)
            log.add((step + 1) * recipe.batch, rate, losses)
            bar.update(task, completed=(step + 1) * recipe.batch, loss=losses.total)
            if time.monotonic() - kept > keep_seconds:
                keep(run, configuration, learner, step + 1)
                log.draw()
                kept = time.monotonic()
    log.end()
    keep(run, configuration, learner, recipe.steps)
    log.draw()


def new_learner(configuration: Configuration, device: torch.device) -> Learner:
    """A network that has learnt nothing of this yet; its first weights are random or another model's."""
    torch.manual_seed(configuration.seed)
    recipe = configuration.recipe
    network = starter_network().to(device)
    begun = {} if configuration.start is None else fill_with_packaged(network, configuration.start)
    averaged = AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(recipe.average),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    teller = organelle_teller().to(device)
    learned = [each for each in (*network.parameters(), *teller.parameters()) if each.requires_grad]
    optimizer = AdamW(learned, recipe.peak_rate, weight_decay=recipe.weight_decay)
    generator = torch.Generator().manual_seed(configuration.seed)
    return Learner(network, teller, averaged, optimizer, generator, begun)


def _learn(learner: Learner, batch: list[Tensor], recipe: Recipe, rate: float) -> Losses:
    """One step."""
    for group in learner.optimizer.param_groups:
        group["lr"] = rate
    parts = batch_losses(learner, batch, recipe.points)
    total = torch.stack(parts).sum()
    learner.optimizer.zero_grad(set_to_none=True)
    total.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(learner.network.parameters(), _STEEPEST)
    learner.optimizer.step()
    learner.averaged.update_parameters(learner.network)
    return Losses(total.item(), *(part.item() for part in parts))


def batch_losses(learner: Learner, batch: list[Tensor], points: int) -> list[Tensor]:
    """Weighted losses of masks, centres, offsets, points and kinds of one batch, on the network's device."""
    image, semantic, centre, offset, inside, kinds = batch
    network, weights = learner.network, LossWeights()
    with torch.autocast(image.device.type, torch.bfloat16, enabled=gains_by_bf16(image.device)):
        heads = network(image.contiguous(memory_format=torch.channels_last))
        told = learner.teller(heads.features)
    coarse = heads.coarse_logits.float()
    chosen = choose_points(coarse.detach(), points, learner.generator)
    refined = network.semantic_pr(coarse, heads.features.float(), chosen)  # (N, P, 1)
    full = functional.interpolate(coarse, semantic.shape[2:], mode="bilinear", align_corners=False)
    return [
        weights.semantic * hard_pixel_loss(full, semantic),
        weights.centre * centre_loss(heads.ctr_hmp.float(), centre),
        weights.offset * offset_loss(heads.offsets.float(), offset, inside),
        weights.points * point_loss(refined.transpose(1, 2), semantic, chosen),
        weights.kinds * kinds_loss(told.float(), kinds),
    ]


def _batches(pool: PhantomPool, configuration: Configuration, done: int) -> Iterator[tuple[Tensor, ...]]:
    """Batches without end; those after a break are others than those before."""
    starter = STARTERS[Family(configuration.model)]
    recipe = configuration.recipe
    crops = Crops(pool, starter, recipe.side, (configuration.seed, done))
    return iter(DataLoader(crops, batch_size=recipe.batch, num_workers=1, prefetch_factor=4))


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("crops  loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
    )


def main(
    run: Annotated[Path, typer.Argument(help="Folder that gets checkpoint, log and plot")],
    model: Annotated[Family, typer.Option(help="What to segment")] = Family.MITONET,
    pool: Annotated[Path, typer.Option(help="Folder of phantoms")] = Path("training/runs/pool"),
    crops: Annotated[int, typer.Option(help="How many to learn from; 0 takes the model's own number")] = 0,
    afresh: Annotated[
        bool, typer.Option(help="Begin with random weights, not with the packaged ones")
    ] = False,
    rate: Annotated[
        float, typer.Option(help="Highest learning rate; 0 takes what suits the weights it begins with")
    ] = 0,
    seed: Annotated[int, typer.Option()] = 1,
    threads: Annotated[int, typer.Option(help="CPU threads; one leaves a core to what fills the pool")] = 1,
    keep_seconds: Annotated[float, typer.Option(help="Time between two checkpoints")] = 120,
    wait_seconds: Annotated[
        float, typer.Option(help="How long to wait for the next phantom of a pool that holds too few")
    ] = 180,
) -> None:
    """Train a starter model on the phantoms in POOL, or go on where a training in RUN was stopped."""
    torch.set_num_threads(threads)
    recipe = Recipe(crops or STARTERS[model].crops)
    if rate or not afresh:
        recipe = replace(recipe, peak_rate=rate or _GENTLE_RATE)
    packaged = None if afresh else f"{model}@{STARTER}"
    begun = Configuration(model.value, STARTER_CONFIG, recipe, seed, packaged)
    try:
        check(pool)
        train(run, _filled(pool, wait_seconds), begun, keep_seconds)
    except (OtherGenerator, TrainingStopped) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


def _filled(folder: Path, wait_seconds: float) -> PhantomPool:
    """The pool, once it holds enough phantoms to begin with. Raises PoolNotFilled where no more come."""
    pool = PhantomPool(folder)
    count, grown = len(pool), time.monotonic()
    if count < _FEWEST:
        typer.echo(
            f"waiting for {_FEWEST} phantoms in {folder}; `python -m training.pool` makes them", err=True
        )
    while count < _FEWEST:
        if time.monotonic() - grown > wait_seconds:
            raise PoolNotFilled(
                f"{folder} holds {count} phantoms, a training wants {_FEWEST}, and for {wait_seconds:g} s "
                f"there was no new one. Start `python -m training.pool {folder}`, and see that it goes on."
            )
        time.sleep(1)
        before, count = count, len(pool)
        if count > before:
            grown = time.monotonic()
    return pool


if __name__ == "__main__":
    typer.run(main)
