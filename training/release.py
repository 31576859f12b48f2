"""Makes a model of a training run: `python -m training.release RUN` writes its card and weights."""

from pathlib import Path
from typing import Annotated

import typer

from emserve.cards import PACKAGED_CARDS, STARTER, ModelCard, Source
from training.augment import NORMS
from training.card_scores import card_text
from training.checkpoint import learnt_weights
from training.starter_network import ARCHITECTURE
from training.starters import STARTERS, Family, Starter
from workers.models.registry import build
from workers.models.weights import save


def starter_card(starter: Starter, config: dict[str, object], weights_sha256: str | None) -> ModelCard:
    """The card of a starter model whose network was built with `config`."""
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
        architecture_config=config,
        native_pixel_size_nm=starter.native_pixel_size_nm,
        defaults=starter.defaults,
        stack_defaults=starter.stack_defaults,
        trained_on="Generated images only (training/phantoms); no image of anybody's was seen.",
        weaknesses=starter.weaknesses,
        source=Source(publisher="emserve"),
        licence="Apache-2.0",
        citation="none; these weights are for trying the service",
        weights_sha256=weights_sha256,
    )


def main(
    run: Annotated[Path, typer.Argument(help="Folder of a training, from training.train")],
    out: Annotated[Path, typer.Option(help="Folder that gets the card and its weights")] = PACKAGED_CARDS,
    with_begun: Annotated[
        bool, typer.Option(help="The mean of the weights before and after, or those after alone")
    ] = True,
) -> None:
    """Store the network of RUN as a starter model: 16-bit weights, BatchNorm still apart."""
    configuration, weights = learnt_weights(run, with_begun=with_begun)
    starter, config = STARTERS[Family(configuration.model)], configuration.architecture
    network = build(ARCHITECTURE, config)
    network.load_state_dict(weights)
    card = starter_card(starter, config, None)
    sha256 = save(network, out / f"{card.id}.safetensors", "fp16")
    (out / f"{card.id}.json").write_text(card_text(starter_card(starter, config, sha256)))


if __name__ == "__main__":
    typer.run(main)
