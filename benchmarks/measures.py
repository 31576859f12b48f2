"""Measures of objects: ours beside scikit-image's regionprops_table."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from skimage.measure import regionprops_table

from benchmarks.clock import fastest
from benchmarks.table import Table, seconds, times
from workers.inference.measure import Scene, measure
from workers.inference.merge import Labels, Merged
from workers.inference.rows import ArrayRows, Workspace

_REPEATS = 3
_CELL = 28  # pixels; side of the square that an object lies in
_PROPERTIES = (
    "label",
    "area",
    "bbox",
    "centroid",
    "orientation",
    "perimeter_crofton",
    "feret_diameter_max",
    "intensity_mean",
    "intensity_std",
)


@dataclass(frozen=True)
class Measures:
    """Processor seconds on one thread for the same objects."""

    objects: int
    ours_s: float
    """All columns, the smallest Feret diameter and circularity among them."""
    scikit_image_s: float
    """What of these it has."""
    ratio: float
    areas_agree: bool


def compare(objects: int) -> Measures:
    """Random ellipses, one in each cell of a grid, measured by both."""
    labels, image = _ellipses(objects)
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        merged = _merged(workspace, labels)
        scene = Scene(ArrayRows(image), None, {1: "object"}, np.zeros(objects + 1, np.float32))
        ours_s = fastest(lambda: measure(merged, scene), _REPEATS)
        areas = measure(merged, scene).columns["area_px"]
    theirs_s = fastest(lambda: regionprops_table(labels.astype(np.int32), image, _PROPERTIES), 1)
    agree = np.array_equal(areas, regionprops_table(labels.astype(np.int32), properties=("area",))["area"])
    return Measures(objects, ours_s, theirs_s, theirs_s / ours_s, bool(agree))


def _ellipses(count: int) -> tuple[Labels, npt.NDArray[np.uint8]]:
    """(H, W) labels 1 to `count`, and grey values."""
    rng = np.random.default_rng(1)
    cells = int(np.ceil(np.sqrt(count)))
    y, x = np.indices((_CELL, _CELL)) - (_CELL - 1) / 2
    labels = np.zeros((cells * _CELL, cells * _CELL), np.uint32)
    for number in range(count):
        angle, (long, short) = rng.uniform(0, np.pi), rng.uniform(4, _CELL / 2 - 1, 2)
        along, across = y * np.sin(angle) + x * np.cos(angle), y * np.cos(angle) - x * np.sin(angle)
        row, column = divmod(number, cells)
        window = labels[row * _CELL : (row + 1) * _CELL, column * _CELL : (column + 1) * _CELL]
        window[(along / long) ** 2 + (across / short) ** 2 <= 1] = number + 1
    return labels, rng.integers(0, 256, labels.shape, dtype=np.uint8)


def _merged(workspace: Workspace, labels: Labels) -> Merged:
    sheet = workspace.sheet("labels", labels.shape, np.uint32)
    sheet.write(0, labels)
    numbers = np.arange(int(labels.max()) + 1, dtype=np.uint32)
    return Merged(sheet, numbers, np.minimum(numbers, 1).astype(np.uint8), numbers)


def table(runs: tuple[Measures, ...]) -> Table:
    rows = tuple(
        (
            str(run.objects),
            seconds(run.ours_s),
            seconds(run.scikit_image_s),
            times(run.ratio),
            "same areas" if run.areas_agree else "AREAS DIFFER",
        )
        for run in runs
    )
    note = "Processor time, one thread; " + ", ".join(_PROPERTIES)
    return Table("Measures", ("objects", "ours", "scikit-image", "ratio", ""), rows, note)
