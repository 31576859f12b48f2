"""`emserve evaluate`: how well a label map agrees with the truth."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.table import Table
from rich.text import Text

from emserve.cli.consoles import stderr, stdout, warn
from emserve.cli.programs import ProgramFailed, run_program
from emserve.scores import Scores

_PROGRAM = "workers.evaluation"
_SCORES = TypeAdapter(Scores)


def evaluate(  # the parameters are the command's options
    predicted: Annotated[
        Path,
        typer.Argument(
            metavar="PRED",
            exists=True,
            readable=True,
            help="Label map to judge: TIFF, npy, PNG, MRC or Zarr.",
        ),
    ],
    true: Annotated[
        Path, typer.Argument(metavar="TRUTH", exists=True, readable=True, help="Label map that is right.")
    ],
    components: Annotated[
        bool,
        typer.Option(
            "--components", help="TRUTH is a mask, such as 0 and 255: its connected parts are objects."
        ),
    ] = False,
    predicted_components: Annotated[
        bool, typer.Option("--predicted-components", help="PRED is a mask, too.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", allow_dash=True, help="Save the scores as JSON; - prints them instead."
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Save a picture: hits, misses, false hits, splits, merges."),
    ] = None,
    z: Annotated[
        int | None, typer.Option(min=0, help="Plane of a stack that the picture shows. [default: the middle]")
    ] = None,
    image: Annotated[
        Path | None, typer.Option(exists=True, readable=True, help="Grey image behind the picture.")
    ] = None,
) -> None:
    """Compare a label map with the truth: scores, and a picture of hits and errors.

    Both are 2D or 3D, of the same pixels; 0 is background. No service is needed.
    """
    if picture is None and (z is not None or image is not None):
        raise typer.BadParameter("--z and --image say what --picture shows: give --picture, too.")
    if picture is not None and picture.suffix.lower() != ".png":
        raise typer.BadParameter(f"--picture {picture}: the picture is a PNG, so name it .png.")
    options = ["--components"] * components + ["--predicted-components"] * predicted_components
    if picture is not None:
        picture.parent.mkdir(parents=True, exist_ok=True)
        options.append(f"--picture={picture}")
    options += [f"--z={z}"] if z is not None else []
    options += [f"--image={image}"] if image is not None else []
    with stderr().status("Comparing"):
        scores = compare(predicted, true, *options)
    _show(scores, json_file)
    for path, option in _perhaps_masks(scores, (predicted, true), (predicted_components, components)):
        warn(f"{path} holds a single object. If it is a mask, say {option}: then its parts are objects.")
    if picture is not None:
        stderr().print(Text(f"picture: {picture}", "dim"), soft_wrap=True)


def compare(predicted: Path, true: Path, *options: str) -> Scores:
    """Scores of two label files. Raises InputRefused and ProgramFailed."""
    output = run_program(_PROGRAM, *options, "--", str(predicted), str(true), extra="images")
    try:
        return _SCORES.validate_json(output)
    except ValidationError as error:
        raise ProgramFailed(f"{_PROGRAM} said something else than scores: {output!r:.200}.") from error


def _perhaps_masks(
    scores: Scores, files: tuple[Path, Path], told: tuple[bool, bool]
) -> list[tuple[Path, str]]:
    """Files that were taken for label maps and may be masks, and the option that says so.

    They hold a single number, and the other file holds several objects, or as little.
    """
    counts = scores.predicted, scores.true
    if counts == (1, 1) and any(told):  # a mask whose one part was told to be the object
        return []
    options = "--predicted-components", "--components"
    sides = zip(files, options, counts, reversed(counts), told, strict=True)
    return [
        (path, option) for path, option, count, other, known in sides if count == 1 <= other and not known
    ]


def _show(scores: Scores, json_file: Path | None) -> None:
    as_json = _SCORES.dump_json(scores, indent=2).decode()
    if json_file == Path("-"):
        typer.echo(as_json)
        return
    stdout().print(_measures(scores), "", _numbers(scores), sep="\n")
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        json_file.write_text(as_json + "\n")
        stderr().print(Text(f"scores: {json_file}", "dim"), soft_wrap=True)


def _measures(scores: Scores) -> Table:
    table = _table("measure", "IoU 0.5", "IoU 0.75")
    for name in ("f1", "precision", "recall"):
        values = (getattr(scores, f"{name}_{threshold}") for threshold in (50, 75))
        table.add_row(name.capitalize(), *(f"{value:.3f}" for value in values))
    others = {
        "AP (IoU 0.5 to 0.95)": scores.average_precision,
        "PQ": scores.panoptic_quality,
        "SQ": scores.segmentation_quality,
        "RQ": scores.recognition_quality,
        "Foreground IoU": scores.foreground_iou,
    }
    for name, value in others.items():
        table.add_row(name, f"{value:.3f}")
    return table


def _numbers(scores: Scores) -> Table:
    table = _table("objects", "predicted", "true")
    rows = {
        "Hits": (scores.hits, scores.hits),
        "Misses": (None, scores.misses),
        "False hits": (scores.false_hits, None),
        "Splits": (scores.split_parts, scores.splits),
        "Merges": (scores.merges, scores.merged),
        "All": (scores.predicted, scores.true),
    }
    for name, counts in rows.items():
        table.add_row(name, *("-" if count is None else str(count) for count in counts))
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column(first, min_width=20)
    for name in others:
        table.add_column(name, justify="right", min_width=9)
    return table
