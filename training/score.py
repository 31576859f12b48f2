"""Scores a model on fresh phantoms: `python -m training.score mitonet@starter`."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from numpy.typing import NDArray

from emserve.cards import PACKAGED_CARDS, Catalogue, ModelCard
from emserve.params import Parameters
from emserve.scores import Scores
from training.card_scores import mean_score, record
from training.phantoms import Phantom, Structure, VolumePhantom, make_phantom, make_volume_phantom
from training.pool import FIRST_SEED
from training.stacks import segment_stack
from workers.evaluation.overlaps import Labels, find_overlaps
from workers.evaluation.summary import summarise
from workers.inference.engine import Engine
from workers.inference.pipeline import Request2D, segment
from workers.inference.rows import ArrayRows, Workspace
from workers.models.weights import load_card

_SIDE = 512
_STACK_SIDE, _SLICE_NM, _TYPICAL_NM = 448, 40.0, 11.0


def score(engine: Engine, card: ModelCard, count: int, first_seed: int) -> Scores:
    """Scores over `count` phantoms that no training saw, run as the service runs them by default."""
    phantoms = fresh_phantoms(card, count, first_seed)
    return summarise([find_overlaps(segmented(p, engine, card), truth(p, card)) for p in phantoms])


def score_stacks(engine: Engine, card: ModelCard, seeds: range, slices: int) -> Scores:
    """Scores over volumes of `slices` that no training saw, in space, run as the service runs stacks."""
    overlaps = []
    for seed in seeds:
        volume = fresh_volume(card, seed, slices)
        found = segment_stack(volume.image, volume.voxel_size_nm, Parameters(), engine, card)
        overlaps.append(find_overlaps(found, truth(volume, card)))
    return summarise(overlaps)


def fresh_volume(card: ModelCard, seed: int, slices: int) -> VolumePhantom:
    """A volume phantom whose slices are as thick as those of serial sections."""
    side = card.native_pixel_size_nm or _TYPICAL_NM
    return make_volume_phantom(seed, (slices, _STACK_SIDE, _STACK_SIDE), (_SLICE_NM, side, side))


def fresh_phantoms(card: ModelCard, count: int, first_seed: int) -> Iterator[Phantom]:
    """Phantoms that no training saw, with the pixel size that the weights of `card` are at home with."""
    for seed in range(first_seed, min(first_seed + count, FIRST_SEED)):
        yield make_phantom(seed, (_SIDE, _SIDE), card.native_pixel_size_nm)


def truth(phantom: Phantom | VolumePhantom, card: ModelCard) -> Labels:
    """The objects of `phantom` that the model of `card` is to find."""
    return phantom.truth.of(Structure(card.class_names[1]))


def segmented(phantom: Phantom, engine: Engine, card: ModelCard) -> Labels:
    """What the service makes of a phantom by default."""
    size = (phantom.pixel_size_nm, phantom.pixel_size_nm)
    params = card.parameters(Parameters(downsampling=card.downsampling_for(size) or 1))
    return segment_image(phantom.image, size, params, engine, card)


def segment_image(
    image: NDArray[Any],  # of any grey data type that jobs take
    pixel_size_nm: tuple[float, float] | None,
    params: Parameters,
    engine: Engine,
    card: ModelCard,
) -> Labels:
    """(H, W) labels of a (H, W) image, as a job has them."""
    request = Request2D(ArrayRows(image), pixel_size_nm, params, card)
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        found = segment(request, engine, workspace, lambda *_: None)
        return found.labels.read(0, image.shape[0])


def open_model(model: str, models: Path) -> tuple[ModelCard, Engine]:
    """A model and its engine. Raises BadParameter where its weights are missing."""
    catalogue = Catalogue(models)
    card = catalogue.find(model)
    weights = catalogue.weights(card)
    if weights is None:
        raise typer.BadParameter(f"the weights of {card.id} are not installed")
    return card, Engine(load_card(card, weights))


def main(
    model: Annotated[str, typer.Argument(help="name@version")] = "mitonet@starter",
    models: Annotated[Path, typer.Option(help="Folder of models besides the packaged ones")] = Path("models"),
    count: Annotated[int, typer.Option(help="Number of phantoms")] = 20,
    first_seed: Annotated[int, typer.Option(help="Seed of the first")] = 1,
    slices: Annotated[int, typer.Option(help="Score volumes of so many slices, as stacks")] = 0,
    keep: Annotated[bool, typer.Option("--record", help="Write the scores into the packaged card")] = False,
) -> None:
    """Score MODEL on phantoms of its own and print the scores as JSON."""
    card, engine = open_model(model, models)
    seeds = range(first_seed, min(first_seed + count, FIRST_SEED))
    scores = score_stacks(engine, card, seeds, slices) if slices else score(engine, card, count, first_seed)
    sys.stdout.write(json.dumps(asdict(scores), indent=2) + "\n")
    if keep:
        kind = f"stacks of {slices} slices" if slices else "images"
        data = f"generated {kind}, seeds {seeds[0]} to {seeds[-1]}"
        record(PACKAGED_CARDS / f"{card.id}.json", mean_score(data, [scores]))


if __name__ == "__main__":
    typer.run(main)
