"""What a training keeps so that it can go on after it was stopped, however it was stopped."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.swa_utils import AveragedModel

from training.recipe import Recipe
from training.whole_file import why_not, write_whole
from workers.models.panoptic import PanopticNetwork

_NAME = "checkpoint.pt"


class TrainingStopped(Exception):
    """Base of what ends a training early; the message says what to do."""


class OtherConfiguration(TrainingStopped):
    """The run was begun with another configuration; give that one, or name an empty folder."""


class CannotKeep(TrainingStopped):
    """The training, or its log, cannot be kept, so it ends; make room, then start it again: it goes on."""

    def __init__(self, path: Path, error: OSError) -> None:
        super().__init__(
            f"{path} cannot be written: {why_not(error)}, then give the same command again: the training "
            "goes on from its last checkpoint."
        )


@dataclass(frozen=True)
class Configuration:
    """What must be the same before and after a break."""

    model: str
    """A plain string: checkpoints hold nothing else than tensors, numbers and text."""
    architecture: dict[str, Any]  # the fields differ from one architecture to the next
    recipe: Recipe
    seed: int
    start: str | None = None
    """Id of the model whose weights it begins with."""


@dataclass(frozen=True)
class Learner:
    """Everything that changes while a network learns."""

    network: PanopticNetwork
    teller: nn.Module
    """Tells organelles apart by the network's features. It makes the network see them, and ends with it."""
    averaged: AveragedModel
    optimizer: AdamW
    generator: torch.Generator
    begun: dict[str, torch.Tensor]
    """The weights of the model that it began with; empty where they were random."""


def keep(run: Path, configuration: Configuration, learner: Learner, step: int) -> None:
    """Writes a checkpoint into `run`; a kill in the middle leaves the one before.

    Raises CannotKeep where the disk is full or the folder cannot be written.
    """
    state = {
        "configuration": asdict(configuration),
        "step": step,
        "network": learner.network.state_dict(),
        "teller": learner.teller.state_dict(),
        "averaged": learner.averaged.state_dict(),
        "optimizer": learner.optimizer.state_dict(),
        "generator": learner.generator.get_state(),
        "begun": learner.begun,
    }
    content = io.BytesIO()  # torch would tell nothing of why a file cannot be written
    torch.save(state, content)
    try:
        write_whole(run / _NAME, content.getbuffer())
    except OSError as error:
        raise CannotKeep(run / _NAME, error) from error


def resume(run: Path, configuration: Configuration, learner: Learner) -> int:
    """Brings `learner` to where the run in this folder stopped; the number of steps done, 0 for a new run.

    Raises OtherConfiguration where the run was begun with another one.
    """
    path = run / _NAME
    if not path.exists():
        return 0
    state = _load(path)
    begun, wanted = state["configuration"], asdict(configuration)
    differing = [
        f"{name} was {begun.get(name)} and is {wanted[name]}"
        for name in wanted
        if begun.get(name) != wanted[name]
    ]
    if differing:
        raise OtherConfiguration(
            f"the run in {run} was begun with another configuration: {'; '.join(differing)}. "
            "Give the first again, or name another folder."
        )
    learner.network.load_state_dict(state["network"])
    learner.teller.load_state_dict(state["teller"])
    learner.averaged.load_state_dict(state["averaged"])
    learner.optimizer.load_state_dict(state["optimizer"])
    learner.generator.set_state(state["generator"])
    learner.begun.update(state["begun"])  # the packaged model may be another one by now
    return int(state["step"])


def learnt_weights(run: Path, *, with_begun: bool = True) -> tuple[Configuration, dict[str, torch.Tensor]]:
    """What a run has learnt, and its configuration.

    That is the running average of its weights; of a run that began with a model, `with_begun`, the mean of
    this and of that model's, which often does better than either (Wortsman et al., Robust fine-tuning of
    zero-shot models, 2022).
    """
    state = _load(run / _NAME)
    begun = state["configuration"]
    configuration = Configuration(**{**begun, "recipe": Recipe(**begun["recipe"])})
    prefix, before = "module.", state["begun"]
    weights = {
        name.removeprefix(prefix): tensor
        for name, tensor in state["averaged"].items()
        if name.startswith(prefix)
    }
    for name, tensor in weights.items():
        if with_begun and name in before and tensor.is_floating_point():
            weights[name] = (tensor + before[name].to(tensor.dtype)) / 2
    return configuration, weights


def _load(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, in main memory: its training may have had a GPU that is not here."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state
