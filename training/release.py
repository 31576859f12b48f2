"""Makes a model of a training run: `python -m training.release RUN` writes its card and weights."""

from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from emserve.cards import PACKAGED_CARDS, STARTER, ModelCard, Source
from training.augment import NORMS
from training.train import ARCHITECTURE, STARTER_CONFIG
from workers.models.registry import build
from workers.models.weights import save

_NATIVE_PIXEL_SIZE_NM = 11.3
# Chosen on phantoms that are neither trained nor scored on: without them crumbs count as objects.
_DEFAULTS: dict[str, Any] = {"min_distance_object_centers": 7, "min_size": 100}  # of several types


def starter_card(weights_sha256: str | None) -> ModelCard:
    """The card of `mitonet@starter`."""
    return ModelCard(
        name="mitonet",
        version=STARTER,
        title="MitoNet starter",
        description="Mitochondria, for trying the service: a small Panoptic-DeepLab with PointRend that saw "
        "generated images only. Not for science; install a released version for that.",
        class_names={1: "mito"},
        thing_list=[1],
        norms=NORMS,
        padding_factor=16,
        architecture=ARCHITECTURE,
        architecture_config=STARTER_CONFIG,
        native_pixel_size_nm=_NATIVE_PIXEL_SIZE_NM,
        defaults=_DEFAULTS,
        source=Source(publisher="emserve"),
        licence="Apache-2.0",
        citation="none; these weights are for trying the service",
        weights_sha256=weights_sha256,
    )


def main(
    run: Annotated[Path, typer.Argument(help="Folder with network.pt, from training.train")],
    out: Annotated[Path, typer.Option(help="Folder that gets the card and its weights")] = PACKAGED_CARDS,
) -> None:
    """Store the network of RUN as the starter model: 16-bit weights, BatchNorm still apart."""
    card = starter_card(None)
    network = build(card.architecture, card.architecture_config)
    network.load_state_dict(torch.load(run / "network.pt", weights_only=True))
    sha256 = save(network, out / f"{card.id}.safetensors", "fp16")
    text = starter_card(sha256).model_dump_json(indent=2, exclude_none=True)
    (out / f"{card.id}.json").write_text(text + "\n")


if __name__ == "__main__":
    typer.run(main)
