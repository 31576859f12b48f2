"""Makes a model of a training run: `python -m training.release RUN` writes its card and weights."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from emserve.cards import PACKAGED_CARDS, STARTER, ModelCard, Source
from training.augment import NORMS
from training.starters import STARTERS, Family, Starter
from training.train import ARCHITECTURE, STARTER_CONFIG
from workers.models.registry import build
from workers.models.weights import save


def starter_card(starter: Starter, weights_sha256: str | None) -> ModelCard:
    """The card of a starter model."""
    return ModelCard(
        name=starter.family,
        version=STARTER,
        title=starter.title,
        description=f"{starter.objects}, for trying the service: a small Panoptic-DeepLab with PointRend "
        "that saw generated images only. Not for science; install a released version for that.",
        class_names={1: starter.structure},
        thing_list=[1],
        norms=NORMS,
        padding_factor=16,
        architecture=ARCHITECTURE,
        architecture_config=STARTER_CONFIG,
        native_pixel_size_nm=starter.native_pixel_size_nm,
        defaults=starter.defaults,
        source=Source(publisher="emserve"),
        licence="Apache-2.0",
        citation="none; these weights are for trying the service",
        weights_sha256=weights_sha256,
    )


def main(
    run: Annotated[Path, typer.Argument(help="Folder with network.pt, from training.train")],
    out: Annotated[Path, typer.Option(help="Folder that gets the card and its weights")] = PACKAGED_CARDS,
    model: Annotated[Family, typer.Option(help="What the run was trained for")] = Family.MITONET,
) -> None:
    """Store the network of RUN as a starter model: 16-bit weights, BatchNorm still apart."""
    card = starter_card(STARTERS[model], None)
    network = build(card.architecture, card.architecture_config)
    network.load_state_dict(torch.load(run / "network.pt", weights_only=True))
    sha256 = save(network, out / f"{card.id}.safetensors", "fp16")
    text = starter_card(STARTERS[model], sha256).model_dump_json(indent=2, exclude_none=True)
    (out / f"{card.id}.json").write_text(text + "\n")


if __name__ == "__main__":
    typer.run(main)
