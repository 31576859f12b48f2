"""The picture of a comparison: predicted objects filled, true ones outlined, coloured by their outcomes."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from emserve.scores import Scores
from workers.evaluation.comparison import SeenLabels, View
from workers.evaluation.outcomes import Outcome, Outcomes
from workers.evaluation.overlaps import Objects, Overlaps, UnusableLabels, shown
from workers.evaluation.stored_array import StoredArray
from workers.images.preview import near_borders, shrunk, stretched
from workers.images.sheet import Sheet

LONGEST_SIDE = 2048
_LEGEND_HEIGHT = 84
_LEGEND_WIDTH = 680
_SMALL_SIDE = 512  # images up to here are enlarged, so that outlines do not cover what they surround
_ENLARGED_SIDE = 1024
_COLOURS = {  # of Okabe and Ito, which people with any kind of colour vision tell apart
    Outcome.HIT: (0, 158, 115),
    Outcome.MISS: (213, 94, 0),
    Outcome.FALSE_HIT: (240, 228, 66),
    Outcome.SPLIT: (86, 180, 233),
    Outcome.MERGE: (204, 121, 167),
}
_BACKGROUND = 0.15
_FILL_OPACITY = 0.4
_TRUE_OUTLINE_PX = 3
_Numbers = NDArray[np.uint32]


class NoSuchPlane(Exception):
    """The plane that was asked for is not there."""


def view_of(shape: tuple[int, ...], z: int | None) -> View:
    """The view that a picture shows: plane `z`, or the middle one. Raises NoSuchPlane."""
    planes = shape[0] if len(shape) == 3 else 1
    if z is not None and not 0 <= z < planes:
        there = f"has planes 0 to {planes - 1}" if planes > 1 else "is one plane: leave --z away"
        raise NoSuchPlane(f"There is no plane {z} (--z): what is compared {there}.")
    height, width = shape[-2:]
    longest = max(height, width)
    if longest <= _SMALL_SIDE:
        factor = _ENLARGED_SIDE // longest
        size = height * factor, width * factor
    else:
        scale = min(1.0, (LONGEST_SIDE - _LEGEND_HEIGHT) / height, LONGEST_SIDE / width)
        size = max(1, round(height * scale)), max(1, round(width * scale))
    return View(planes // 2 if z is None else z, (height, width), size)


def background(image: StoredArray, shape: tuple[int, ...], view: View) -> NDArray[np.float32]:
    """What `view` shows of a grey image, from 0 to 1. Raises UnusableLabels."""
    if image.shape != shape:
        raise UnusableLabels(
            f"{image.path} is an image of {shown(image.shape)} and the label maps are {shown(shape)}: "
            "give the image that was segmented."
        )
    if image.dtype.kind not in "biuf":
        raise UnusableLabels(f"{image.path} holds {image.dtype.name}: grey values are numbers.")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "plane.npy"
        with Sheet.new_npy(path, view.plane_shape, image.dtype.newbyteorder("=")) as sheet:
            if len(image.shape) == 3:
                sheet.write(0, image.read(view.z, view.z + 1)[0])
            else:
                for y0, rows in image.slabs():
                    sheet.write(y0, rows)
            return stretched(shrunk(sheet, view.shape))


def draw(
    seen: SeenLabels, overlaps: Overlaps, outcomes: Outcomes, grey: NDArray[np.float32] | None
) -> Image.Image:
    """What the view shows, without the legend."""
    shape = seen.true.shape
    rgb = np.repeat((np.full(shape, _BACKGROUND, np.float32) if grey is None else grey)[..., None], 3, axis=2)
    predicted, true = (
        _numbered(seen.predicted, overlaps.predicted_objects),
        _numbered(seen.true, overlaps.true_objects),
    )
    predicted_colours, true_colours = _colours(outcomes.predicted), _colours(outcomes.true)
    _lay(rgb, predicted > 0, predicted_colours, predicted, _FILL_OPACITY)
    _lay(rgb, (predicted > 0) & near_borders(predicted, 1), predicted_colours, predicted, 1)
    _lay(rgb, (true > 0) & near_borders(true, _TRUE_OUTLINE_PX), true_colours, true, 1)
    return Image.fromarray(np.rint(rgb * 255).astype(np.uint8))


def with_legend(picture: Image.Image, scores: Scores, plane: int | None) -> Image.Image:
    """The picture above a legend with the numbers of objects; `plane`: which one of a stack is seen."""
    width = max(picture.width, _LEGEND_WIDTH)
    page = Image.new("RGB", (width, picture.height + _LEGEND_HEIGHT), "white")
    page.paste(picture, (0, 0))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size=18)
    counts = {
        Outcome.HIT: f"hits: {scores.hits}",
        Outcome.MISS: f"misses: {scores.misses}",
        Outcome.FALSE_HIT: f"false hits: {scores.false_hits}",
        Outcome.SPLIT: f"splits: {scores.splits}",
        Outcome.MERGE: f"merges: {scores.merges}",
    }
    for number, (outcome, text) in enumerate(counts.items()):
        x, y = 12 + number % 3 * 150, picture.height + 12 + number // 3 * 36
        pen.rectangle((x, y, x + 22, y + 22), fill=_COLOURS[outcome], outline="black")
        pen.text((x + 30, y), text, fill="black", font=font)
    lines = ["filled: predicted", "outlined: true"]
    if plane is not None:
        lines.append(f"plane {plane}, numbers of all")
    for number, line in enumerate(lines):
        pen.text((472, picture.height + 6 + number * 24), line, fill="black", font=font)
    return page


def _numbered(labels: NDArray[np.uint64], objects: Objects) -> _Numbers:
    """The number of the object plus one; 0 is background."""
    numbers = np.searchsorted(objects.labels, labels).astype(np.uint32) + np.uint32(1)
    return np.where(labels > 0, numbers, np.uint32(0))


def _colours(outcomes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n + 1, 3) the colour of each object's number plus one."""
    table = np.array([_COLOURS[each] for each in Outcome], np.float32) / 255
    return np.concatenate([np.zeros((1, 3), np.float32), table[outcomes]])


def _lay(
    rgb: NDArray[np.float32],
    where: NDArray[np.bool_],
    colours: NDArray[np.float32],
    numbers: _Numbers,
    opacity: float,
) -> None:
    """Lays the objects' colours over the picture."""
    rgb[where] = rgb[where] * (1 - opacity) + colours[numbers[where]] * opacity
