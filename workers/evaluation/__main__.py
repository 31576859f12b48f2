"""Compares two label files and prints the scores as JSON: `python -m workers.evaluation PREDICTED TRUE`.

Files that cannot be compared end it with EX_DATAERR, a plane that is not there with EX_USAGE, and the reason
on standard error.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from emserve.lineage import die_with_parent
from emserve.scores import Scores
from workers.evaluation.comparison import compare
from workers.evaluation.instances import Instances
from workers.evaluation.outcomes import find_outcomes
from workers.evaluation.overlaps import UnusableLabels, require_one_shape
from workers.evaluation.picture import NoSuchPlane, background, draw, view_of, with_legend
from workers.evaluation.stored_array import open_array
from workers.evaluation.summary import summarise


def main(arguments: Sequence[str] | None = None) -> None:
    """Scores on standard output."""
    options = _parser().parse_args(arguments)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what cannot be read is told in our words
    try:
        scores = evaluate_files(options)
    except UnusableLabels as error:
        _refuse(str(error))
    except NoSuchPlane as error:
        _refuse(str(error), os.EX_USAGE)
    except MemoryError:
        _refuse(
            "There is not enough memory: save the label maps as tiled TIFF or Zarr, which are read in parts."
        )
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    else:
        sys.stdout.write(json.dumps(asdict(scores)) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.evaluation", description=__doc__)
    parser.add_argument("predicted", type=Path)
    parser.add_argument("true", type=Path)
    parser.add_argument("--components", action="store_true", help="objects of TRUE: components of its mask")
    parser.add_argument("--predicted-components", action="store_true", help="the same of PREDICTED")
    parser.add_argument("--picture", type=Path, help="PNG to write")
    parser.add_argument("--z", type=int, help="plane that it shows, instead of the middle one")
    parser.add_argument("--image", type=Path, help="grey image behind it")
    return parser


def evaluate_files(options: argparse.Namespace) -> Scores:
    """Scores of the files; writes the picture. Raises UnusableLabels, OSError."""
    with open_array(options.predicted) as first, open_array(options.true) as second:
        predicted = Instances(first, components=options.predicted_components)
        true = Instances(second, components=options.components)
        require_one_shape(predicted.shape, true.shape)  # rather than the image's, which fits one of them
        view = None if options.picture is None else view_of(true.shape, options.z)
        grey = None
        if view is not None and options.image is not None:
            with open_array(options.image) as image:
                grey = background(image, true.shape, view)
        overlaps, seen = compare(predicted, true, view)
    scores = summarise([overlaps])
    if view is not None and seen is not None:
        picture = draw(seen, overlaps, find_outcomes(overlaps), grey)
        with_legend(picture, scores, view.z if len(true.shape) == 3 else None).save(
            options.picture, format="PNG"
        )
    return scores


def _refuse(reason: str, code: int = os.EX_DATAERR) -> None:
    sys.stderr.write(reason + "\n")
    sys.exit(code)


if __name__ == "__main__":
    die_with_parent()
    main()
