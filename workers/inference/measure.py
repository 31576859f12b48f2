"""Measures of each object of a 2D label map, in pixels and, where the pixel size is known, in nanometres.

Pixel (y, x) covers the square from (y, x) to (y + 1, x + 1) for Feret diameters; centroids are those of
pixel centres. A measure without a value (nanometres of unknown pixels, the orientation of a disc) is NaN.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from workers.inference.feret import feret_diameters
from workers.inference.merge import Labels, Merged

Column = npt.NDArray[Any]  # integers, floats or text, one entry an object
Floats = npt.NDArray[np.float64]

_ISOTROPIC = 1e-9  # relative difference of second moments below which no axis is the longer one


@dataclass(frozen=True)
class Scene:
    """What objects are measured on."""

    image: npt.NDArray[Any]
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
    areas = np.bincount(merged.labels.ravel(), minlength=merged.count + 1)
    present = np.flatnonzero(areas[1:]) + 1
    columns: dict[str, Column] = {
        "label": present,
        "class_id": merged.class_ids[present].astype(np.int64),
        "class_name": np.array(
            [scene.class_names.get(int(each), str(each)) for each in merged.class_ids[present]], dtype=np.str_
        ),
        "area_px": areas[present],
        "area_nm2": areas[present] * _square_nm(scene.pixel_size_nm),
        **_boxes(merged.labels, present),
        **_moments(merged.labels, areas, present),
        **_outline(merged.labels, areas, present, scene.pixel_size_nm),
        **feret_columns(merged.labels, present, scene.pixel_size_nm),
        **_grey(merged.labels, scene.image, areas, present),
        "centre_confidence": _confidence(merged, scene)[present],
    }
    return ObjectTable(columns)


def _square_nm(pixel_size_nm: tuple[float, float] | None) -> float:
    return float("nan") if pixel_size_nm is None else pixel_size_nm[0] * pixel_size_nm[1]


def _boxes(labels: Labels, present: npt.NDArray[np.intp]) -> dict[str, Column]:
    """Half-open bounding boxes: rows y0 to y1 - 1, columns x0 to x1 - 1."""
    found = ndimage.find_objects(labels.astype(np.int32, copy=False))
    boxes = [found[label - 1] for label in present]
    return {
        "bbox_y0_px": np.array([box[0].start for box in boxes], np.int64),
        "bbox_x0_px": np.array([box[1].start for box in boxes], np.int64),
        "bbox_y1_px": np.array([box[0].stop for box in boxes], np.int64),
        "bbox_x1_px": np.array([box[1].stop for box in boxes], np.int64),
    }


def _moments(labels: Labels, areas: npt.NDArray[np.intp], present: npt.NDArray[np.intp]) -> dict[str, Column]:
    """Centroid, and the direction of the longer principal axis.

    The orientation is in degrees from +x (to the right), counter-clockwise as seen on a screen whose rows
    run downward, in (-90, 90].
    """
    y, x = np.nonzero(labels)
    owner = labels[y, x]
    n = np.maximum(areas, 1)
    cy = np.bincount(owner, y, minlength=len(areas)) / n
    cx = np.bincount(owner, x, minlength=len(areas)) / n
    dy, dx = y - cy[owner], x - cx[owner]
    yy, xx, xy = (
        np.bincount(owner, product, minlength=len(areas)) / n for product in (dy * dy, dx * dx, dx * dy)
    )
    degrees = np.degrees(0.5 * np.arctan2(-2 * xy, xx - yy)) + 0.0  # no negative zero
    degrees[degrees <= -90] += 180
    round_ones = np.hypot(2 * xy, xx - yy) <= _ISOTROPIC * (xx + yy)
    degrees[round_ones] = np.nan
    return {
        "centroid_y_px": cy[present],
        "centroid_x_px": cx[present],
        "orientation_deg": degrees[present],
    }


def _outline(
    labels: Labels,
    areas: npt.NDArray[np.intp],
    present: npt.NDArray[np.intp],
    pixel_size_nm: tuple[float, float] | None,
) -> dict[str, Column]:
    """Perimeters by Crofton's formula, and circularity 4 pi A / P^2, which is not cut off at 1."""
    crossings = _crossings(labels, len(areas))
    perimeter = _crofton(crossings, (1.0, 1.0))[present]
    in_nm = np.full(len(present), np.nan)
    if pixel_size_nm is not None:
        in_nm = _crofton(crossings, pixel_size_nm)[present]
    true_shape = perimeter if pixel_size_nm is None else in_nm
    area = areas[present] * (1.0 if pixel_size_nm is None else _square_nm(pixel_size_nm))
    return {
        "perimeter_px": perimeter,
        "perimeter_nm": in_nm,
        "circularity": 4 * np.pi * area / true_shape**2,
    }


def _crossings(labels: Labels, n: int) -> Floats:
    """(4, n) how often lines at 0, 45, 90 and 135 degrees cross each label's outline."""
    padded = np.pad(labels, 1)
    pairs = (
        (padded[:, :-1], padded[:, 1:]),
        (padded[1:, :-1], padded[:-1, 1:]),
        (padded[:-1], padded[1:]),
        (padded[:-1, :-1], padded[1:, 1:]),
    )
    return np.array([_changes(first, second, n) for first, second in pairs], np.float64)


def _changes(first: Labels, second: Labels, n: int) -> npt.NDArray[np.intp]:
    differ = first != second
    return np.bincount(first[differ], minlength=n) + np.bincount(second[differ], minlength=n)


def _crofton(crossings: Floats, pixel_size: tuple[float, float]) -> Floats:
    """(n,) perimeter from crossings (4, n): half the integral, over directions and lines, of their number.

    Each direction stands for the angles nearer to it than to the others. For square pixels this is the
    estimate with four directions of Legland, Kieu & Devaux (Image Analysis & Stereology 26, 2007).
    """
    height, width = pixel_size
    diagonal = np.arctan2(height, width)  # of a pixel, from +x
    gaps = np.array(
        [height, height * width / np.hypot(height, width), width, 0]
    )  # between neighbouring lines
    gaps[3] = gaps[1]
    angles = np.array([diagonal, np.pi / 4, np.pi / 2 - diagonal, np.pi / 4])
    perimeter: Floats = 0.5 * (angles * gaps) @ crossings
    return perimeter


def feret_columns(
    labels: Labels, present: npt.NDArray[np.intp], pixel_size_nm: tuple[float, float] | None
) -> dict[str, Column]:
    """Smallest and largest distance of two parallel lines that hold the object between them."""
    in_px, in_nm = feret_diameters(labels, present, pixel_size_nm)
    return {
        "feret_min_px": in_px.smallest,
        "feret_min_nm": in_nm.smallest,
        "feret_max_px": in_px.largest,
        "feret_max_nm": in_nm.largest,
    }


def _grey(
    labels: Labels,
    image: npt.NDArray[Any],
    areas: npt.NDArray[np.intp],
    present: npt.NDArray[np.intp],
) -> dict[str, Column]:
    """Mean and (population) standard deviation of the uploaded grey values."""
    inside = labels > 0
    owner, values = labels[inside], image[inside].astype(np.float64)
    n = np.maximum(areas, 1)
    mean = np.bincount(owner, values, minlength=len(areas)) / n
    variance = np.bincount(owner, (values - mean[owner]) ** 2, minlength=len(areas)) / n
    return {"grey_mean": mean[present], "grey_sd": np.sqrt(variance)[present]}


def _confidence(merged: Merged, scene: Scene) -> Floats:
    """(n + 1,) height of the peak that each label was grouped to; NaN where there is none."""
    confidence = scene.centre_confidence.astype(np.float64)[merged.centre_ids]
    confidence[merged.centre_ids == 0] = np.nan
    return confidence
