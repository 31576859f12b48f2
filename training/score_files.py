"""Scores a model on images with their truth: `python -m training.score_files MODEL IMAGE TRUTH`.

Every slice of a stack is an image by itself, or with `--stack` a part of it, scored in space, or with
`--by-slice`, too, slice by slice. The truth is a label map, or a mask with components as objects.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import cc3d
import numpy as np
import tifffile
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from emserve.cards import PACKAGED_CARDS
from emserve.params import Parameters
from emserve.scores import Scores
from training.card_scores import mean_score, record
from training.score import open_model, segment_image
from training.stacks import segment_stack
from workers.evaluation.instances import MaskComponents
from workers.evaluation.overlaps import Labels, shown
from workers.evaluation.summary import evaluate

_MEASURES = ("f1_50", "precision_50", "recall_50", "f1_75", "panoptic_quality", "foreground_iou")


def truth_of(truth: NDArray[Any], *, only: str, components: bool) -> Labels:  # any integers
    """The objects of a plane (H, W) or a volume (Z, Y, X) of the truth.

    They are its labels, those of a range (`2000:3000`), or a mask's components.
    """
    if only:
        low, _, high = only.partition(":")
        truth = np.where((truth >= int(low)) & (truth < int(high)), truth, 0)
    if not components:
        return truth
    parts = MaskComponents()
    slabs = truth if truth.ndim == 3 else truth[None]
    labels = parts.add(slabs > 0)
    objects: Labels = np.asarray(parts.final_labels())[labels]
    return objects.reshape(truth.shape)


def parts_of_slices(labels: Labels) -> list[Labels]:
    """The slices (Y, X) of a volume's objects (Z, Y, X), each connected part of an object as an object."""
    return [
        cc3d.connected_components(np.ascontiguousarray(each), connectivity=8, out_dtype=np.uint32)
        for each in labels
    ]


def _row(name: str, values: list[float], predicted: float, true: float) -> list[str]:
    return [name, *(f"{value:.3f}" for value in values), f"{predicted:g}", f"{true:g}"]


def print_table(scores: list[Scores]) -> None:
    """A row for each image, then the mean of their rows."""
    table = Table("image", *_MEASURES, "predicted", "true")
    rows = [[getattr(each, name) for name in _MEASURES] for each in scores]
    for index, (each, values) in enumerate(zip(scores, rows, strict=True)):
        table.add_row(*_row(str(index), values, each.predicted, each.true))
    counts = sum(each.predicted for each in scores), sum(each.true for each in scores)
    table.add_row(*_row("mean", [float(mean) for mean in np.mean(rows, axis=0)], *counts))
    Console(file=sys.stdout).print(table)


def main(
    model: Annotated[str, typer.Argument(help="name@version")],
    image: Annotated[Path, typer.Argument(help="TIFF: a grey image, or a stack of them")],
    truth: Annotated[Path, typer.Argument(help="TIFF of the same shape")],
    downsampling: Annotated[int, typer.Option(help="As the job's parameter")] = 1,
    only: Annotated[str, typer.Option(help="Labels that count, such as 2000:3000")] = "",
    components: Annotated[bool, typer.Option(help="The truth is a mask")] = False,
    stack: Annotated[
        bool, typer.Option("--stack", help="Match objects from slice to slice, and score them in space")
    ] = False,
    by_slice: Annotated[
        bool, typer.Option("--by-slice", help="Of a stack, score each slice: an object's parts are objects")
    ] = False,
    models: Annotated[Path, typer.Option(help="Folder of models besides the packaged ones")] = Path("models"),
    keep_as: Annotated[
        str, typer.Option("--record", help="Write the mean into the packaged card, as the score on this data")
    ] = "",
) -> None:
    """Score MODEL on each plane of IMAGE, or on all as one volume, and print the scores."""
    card, engine = open_model(model, models)
    params = Parameters.model_validate({"downsampling": downsampling})
    greys, labels = (np.atleast_3d(tifffile.imread(path).T).T for path in (image, truth))

    def objects(of: NDArray[Any]) -> Labels:  # as in truth_of
        return truth_of(of, only=only, components=components)

    if greys.shape != labels.shape:
        raise typer.BadParameter(
            f"{image} is {shown(greys.shape)} and {truth} is {shown(labels.shape)}: give the truth of the "
            "same slices and pixels."
        )
    if by_slice and not stack:
        raise typer.BadParameter("--by-slice says how a --stack is scored; without it each slice is, anyway.")
    if stack:
        volume = segment_stack(greys, None, params, engine, card)
        found = parts_of_slices(volume) if by_slice else [volume]
        true = [objects(plane) for plane in labels] if by_slice else [objects(labels)]
    else:
        own = card.parameters(params)
        found = [segment_image(plane, None, own, engine, card) for plane in greys]
        true = [objects(plane) for plane in labels]
    scores = [evaluate(*pair) for pair in zip(found, true, strict=True)]
    print_table(scores)
    if keep_as:
        record(PACKAGED_CARDS / f"{card.id}.json", mean_score(keep_as, scores))


if __name__ == "__main__":
    typer.run(main)
