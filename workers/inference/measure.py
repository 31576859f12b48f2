"""Measures of each object of a 2D label map, in pixels and, where the pixel size is known, in nanometres.

Pixel (y, x) covers the square from (y, x) to (y + 1, x + 1) for Feret diameters; centroids are those of
pixel centres. A measure without a value (nanometres of unknown pixels, the orientation of a disc) is NaN.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.inference.feret import Hulls
from workers.inference.merge import Labels, Merged, band_rows
from workers.inference.rows import Rows, bands
from workers.inference.runs import Boxes, Runs, find_runs

Column = npt.NDArray[Any]  # integers, floats or text, one entry an object
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_ISOTROPIC = 1e-9  # relative difference of second moments below which no axis is the longer one


@dataclass(frozen=True)
class Scene:
    """What objects are measured on."""

    image: Rows
    """(H, W) grey values as uploaded."""
    pixel_size_nm: tuple[float, float] | None
    """Height and width of a pixel."""
    class_names: dict[int, str]
    centre_confidence: npt.NDArray[np.float32]
    """(K + 1,) heat-map value of each centre; entry 0 belongs to none."""


@dataclass(frozen=True)
class ObjectTable:
    """A row per object, in the order of labels."""

    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(self.columns["label"])

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


def measure(merged: Merged, scene: Scene) -> ObjectTable:
    """The measures of every label; a label without pixels (a class that a semantic map lacks) has no row."""
    n = merged.count
    sums, boxes, hulls, outlines = _Sums(n), Boxes.empty(n), Hulls(), _Outlines(n)
    height, width = merged.shape
    for y0, y1 in bands(height, band_rows(width)):
        labels = merged.read(y0, y1)
        runs = find_runs(labels, y0)
        sums.add(runs, scene.image.read(y0, y1), labels > 0)
        boxes.grow(runs)
        hulls.add(runs)
        outlines.add(labels)
    outlines.finish()
    present = np.flatnonzero(sums.area)
    size = scene.pixel_size_nm
    columns = {
        "label": np.arange(n + 1),
        "class_id": merged.class_ids.astype(np.int64),
        "class_name": class_names_of(merged.class_ids, scene.class_names),
        "area_px": sums.area,
        "area_nm2": sums.area * (np.nan if size is None else size[0] * size[1]),
        "bbox_y0_px": boxes.y0,
        "bbox_x0_px": boxes.x0,
        "bbox_y1_px": boxes.y1,
        "bbox_x1_px": boxes.x1,
        **sums.shape_columns(size),
        **outlines.columns(sums.area, size),
        **_feret_columns(hulls, n, size),
        **sums.grey_columns(),
        "centre_confidence": _confidence(merged, scene),
    }
    return ObjectTable({name: column[present] for name, column in columns.items()})


def class_names_of(class_ids: npt.NDArray[np.uint8], names: dict[int, str]) -> Column:
    table = np.array([names.get(class_id, str(class_id)) for class_id in range(256)], dtype=np.str_)
    return np.asarray(table[class_ids])


class _Sums:
    """Sums over each object's pixels. Places and grey values are taken relative to the object's first
    pixel, so that no precision is lost far from the origin or on a bright ground."""

    def __init__(self, n: int) -> None:
        self.area = np.zeros(n + 1, np.int64)
        self._origin = np.zeros((2, n + 1), np.int64)  # y, x
        self._ground = np.zeros(n + 1, np.float64)
        self._places = np.zeros((5, n + 1), np.float64)  # y, x, yy, xx, xy
        self._greys = np.zeros((2, n + 1), np.float64)  # value, square

    def add(self, runs: Runs, image: Column, inside: npt.NDArray[np.bool_]) -> None:
        """Another band: its runs, its grey values (rows, W), and where its labels are."""
        length = runs.length
        begins = np.cumsum(length) - length
        values = image[inside]  # run after run
        self._meet_new(runs, values, begins)
        if len(begins):
            self._add_greys(runs.label, length, begins, values)
        y, x = runs.y - self._origin[0, runs.label], runs.x0 - self._origin[1, runs.label]
        length = length.astype(np.float64)
        sum_x = length * (2 * x + length - 1) / 2
        sum_xx = _squares(x + length) - _squares(x.astype(np.float64))
        for row, each in enumerate((y * length, sum_x, y * y * length, sum_xx, y * sum_x)):
            tally(self._places[row], runs.label, each)
        tally(self.area, runs.label, runs.length)

    def _add_greys(self, label: Integers, length: Integers, begins: Integers, values: Column) -> None:
        ground = self._ground[label]
        if values.dtype.kind == "f":
            values = values.astype(np.float64) - np.repeat(ground, length)
            sums, squares = (np.add.reduceat(each, begins) for each in (values, values * values))
        else:  # sums of integers are exact, so the ground can be taken off afterwards, run by run
            values, level = values.astype(np.int64), ground.astype(np.int64)
            sums, squares = (np.add.reduceat(each, begins) for each in (values, values * values))
            squares += level * (level * length - 2 * sums)
            sums -= level * length
        for row, each in enumerate((sums, squares)):
            tally(self._greys[row], label, each)

    def _meet_new(self, runs: Runs, values: Column, begins: Integers) -> None:
        labels, first = np.unique(runs.label, return_index=True)
        new = self.area[labels] == 0
        labels, first = labels[new], first[new]
        self._origin[0, labels], self._origin[1, labels] = runs.y[first], runs.x0[first]
        self._ground[labels] = values[begins[first]]

    def shape_columns(self, size: tuple[float, float] | None) -> dict[str, Column]:
        """Centroid, and the direction of the longer principal axis, of pixels of `size` (height, width).

        The orientation is in degrees from +x (to the right), counter-clockwise as seen on a screen whose rows
        run downward, in (-90, 90]. Pixels of unknown size count as squares.
        """
        y, x, yy, xx, xy = self._places / np.maximum(self.area, 1)
        aspect = 1.0 if size is None else size[0] / size[1]
        yy, xx, xy = (yy - y * y) * aspect**2, xx - x * x, (xy - x * y) * aspect
        degrees = np.degrees(0.5 * np.arctan2(-2 * xy, xx - yy)) + 0.0  # no negative zero
        degrees[degrees <= -90] += 180
        degrees[np.hypot(2 * xy, xx - yy) <= _ISOTROPIC * (xx + yy)] = np.nan
        return {
            "centroid_y_px": self._origin[0] + y,
            "centroid_x_px": self._origin[1] + x,
            "orientation_deg": degrees,
        }

    def grey_columns(self) -> dict[str, Column]:
        """Mean and (population) standard deviation of the uploaded grey values."""
        mean, square = self._greys / np.maximum(self.area, 1)
        variance = np.maximum(square - mean * mean, 0)
        return {"grey_mean": self._ground + mean, "grey_sd": np.sqrt(variance)}


def tally(totals: Column, labels: Column, amounts: Column) -> None:
    """Adds each amount to its label's total (n + 1,)."""
    if len(labels) == 0:
        return
    # The labels of a band lie close together, so this does not pass over all the objects of a large image.
    first = int(labels.min())
    sums = np.bincount(labels - labels.dtype.type(first), amounts)
    totals[first : first + len(sums)] += sums.astype(totals.dtype)


def _squares(end: Floats) -> Floats:
    """0 + 1 + 4 + … + (end - 1)^2, continued to negative ends so that differences are right."""
    return (end - 1) * end * (2 * end - 1) / 6


class _Outlines:
    """How often lines at 0, 45, 90 and 135 degrees cross each label's outline."""

    def __init__(self, n: int) -> None:
        self._crossings = np.zeros((4, n + 1), np.float64)
        self._last: Labels | None = None

    def add(self, labels: Labels) -> None:
        """Another band (rows, W)."""
        width = labels.shape[1]
        padded = np.zeros((len(labels) + 1, width + 2), np.uint32)
        padded[1:, 1:-1] = labels
        if self._last is not None:
            padded[:1, 1:-1] = self._last
        self._count(0, padded[1:].ravel(), 1)
        self._between_rows(padded)
        self._last = labels[-1:].copy()

    def finish(self) -> None:
        """Below the last row there is nothing."""
        if self._last is not None:
            self._between_rows(np.pad(self._last, ((0, 1), (1, 1))))

    def _between_rows(self, padded: Labels) -> None:
        flat, width = padded.ravel(), padded.shape[1]
        for direction, step in ((1, width - 1), (2, width), (3, width + 1)):
            self._count(direction, flat, step)

    def _count(self, direction: int, flat: Labels, step: int) -> None:
        """Compares each pixel with the one `step` further; over a row's end both are padding."""
        differ = np.flatnonzero(flat[:-step] != flat[step:])
        for side in (differ, differ + step):
            labels = flat[side]
            labels = labels[labels > 0]
            tally(self._crossings[direction], labels, np.ones(len(labels)))

    def columns(self, area: Integers, pixel_size_nm: tuple[float, float] | None) -> dict[str, Column]:
        """Perimeters by Crofton's formula, and circularity 4 pi A / P^2, which is not cut off at 1."""
        perimeter = _crofton(self._crossings, (1.0, 1.0))
        in_nm = np.full(len(area), np.nan)
        true_area: Column = area
        if pixel_size_nm is not None:
            in_nm = _crofton(self._crossings, pixel_size_nm)
            true_area = area * (pixel_size_nm[0] * pixel_size_nm[1])
        true_perimeter = perimeter if pixel_size_nm is None else in_nm
        with np.errstate(invalid="ignore"):  # of labels without pixels, which have no row
            circularity = 4 * np.pi * true_area / true_perimeter**2
        return {"perimeter_px": perimeter, "perimeter_nm": in_nm, "circularity": circularity}


def _crofton(crossings: Floats, pixel_size: tuple[float, float]) -> Floats:
    """(n,) perimeter from crossings (4, n): half the integral, over directions and lines, of their number.

    Each direction stands for the angles nearer to it than to the others. For square pixels this is the
    estimate with four directions of Legland, Kieu & Devaux (Image Analysis & Stereology 26, 2007).
    """
    height, width = pixel_size
    diagonal = np.arctan2(height, width)  # of a pixel, from +x
    slanted = height * width / np.hypot(height, width)
    gaps = np.array([height, slanted, width, slanted])  # between neighbouring lines
    angles = np.array([diagonal, np.pi / 4, np.pi / 2 - diagonal, np.pi / 4])
    perimeter: Floats = 0.5 * (angles * gaps) @ crossings
    return perimeter


def _feret_columns(hulls: Hulls, n: int, pixel_size_nm: tuple[float, float] | None) -> dict[str, Column]:
    """Smallest and largest distance of two parallel lines that hold the object between them."""
    in_px = hulls.diameters(n, (1.0, 1.0))
    unknown = np.full(n + 1, np.nan)
    in_nm = None if pixel_size_nm is None else hulls.diameters(n, pixel_size_nm)
    return {
        "feret_min_px": in_px.smallest,
        "feret_min_nm": unknown if in_nm is None else in_nm.smallest,
        "feret_max_px": in_px.largest,
        "feret_max_nm": unknown if in_nm is None else in_nm.largest,
    }


def _confidence(merged: Merged, scene: Scene) -> Floats:
    """(n + 1,) height of the peak that each label was grouped to; NaN where there is none."""
    confidence = scene.centre_confidence.astype(np.float64)[merged.centre_ids]
    confidence[merged.centre_ids == 0] = np.nan
    return confidence
