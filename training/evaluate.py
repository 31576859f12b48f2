"""How well predicted instances agree with true ones.

Thresholded scores count a pair as found at IoU ≥ the threshold, one to one. Average precision is the mean
of TP / (TP + FP + FN) over IoU 0.50, 0.55 … 0.95. Panoptic quality: Kirillov et al., CVPR 2019.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import fastremap
import numpy as np
import tifffile
import typer
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

Labels = NDArray[np.integer[Any]]  # any integer width: label files come in all of them

_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


@dataclass(frozen=True)
class Scores:
    """Agreement of two label maps, each from 0 to 1; two empty maps agree fully."""

    f1_50: float
    precision_50: float
    recall_50: float
    f1_75: float
    precision_75: float
    recall_75: float
    average_precision: float
    panoptic_quality: float
    segmentation_quality: float
    recognition_quality: float
    foreground_iou: float
    predicted: int
    """Number of predicted objects."""
    true: int
    """Number of true objects."""


@dataclass(frozen=True)
class Overlaps:
    """Objects of two label maps that share pixels: `iou` of (`predicted`, `true`), numbered from 0."""

    predicted: NDArray[np.int64]
    true: NDArray[np.int64]
    iou: NDArray[np.float64]
    predicted_count: int
    true_count: int
    foreground_iou: float

    def matched(self, threshold: float, *, strict: bool = False) -> NDArray[np.float64]:
        """IoU of each pair of a largest one-to-one matching at `threshold`."""
        keep = self.iou > threshold if strict else self.iou >= threshold
        shape = (self.predicted_count, self.true_count)
        pairs = csr_array((self.iou[keep], (self.predicted[keep], self.true[keep])), shape=shape)
        partner = maximum_bipartite_matching(pairs, perm_type="column")
        found = np.flatnonzero(partner >= 0)
        return np.array([pairs[row, partner[row]] for row in found], np.float64)


def find_overlaps(predicted: Labels, true: Labels) -> Overlaps:
    """Intersections of two label maps of one shape (any number of axes, 0 is background), in linear time."""
    if predicted.shape != true.shape:
        message = f"the label maps differ in shape: {predicted.shape} and {true.shape}"
        raise ValueError(message)
    first, first_ids = fastremap.renumber(np.ascontiguousarray(predicted), preserve_zero=True)
    second, second_ids = fastremap.renumber(np.ascontiguousarray(true), preserve_zero=True)
    n_first, n_second = _count(first_ids), _count(second_ids)
    area_first = np.bincount(first.ravel(), minlength=n_first + 1)
    area_second = np.bincount(second.ravel(), minlength=n_second + 1)
    both = (first > 0) & (second > 0)
    codes = first[both].astype(np.int64) * (n_second + 1) + second[both]
    values, shared = fastremap.unique(codes, return_counts=True)
    a, b = values // (n_second + 1), values % (n_second + 1)
    iou = shared / (area_first[a] + area_second[b] - shared)
    foreground = np.count_nonzero((first > 0) | (second > 0))
    return Overlaps(
        a - 1, b - 1, iou, n_first, n_second, _ratio(float(np.count_nonzero(both)), float(foreground))
    )


def _count(mapping: Mapping[int, int] | Mapping[float, float]) -> int:
    return sum(1 for original in mapping if original != 0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0


def evaluate(predicted: Labels, true: Labels) -> Scores:
    """Scores of `predicted` against `true`, two integer label maps of one shape."""
    return summarise([find_overlaps(predicted, true)])


def summarise(images: list[Overlaps]) -> Scores:
    """Scores over all objects of several images; the foreground's IoU is the mean over images."""
    n_predicted = sum(image.predicted_count for image in images)
    n_true = sum(image.true_count for image in images)
    hits = {threshold: sum(len(image.matched(threshold)) for image in images) for threshold in _THRESHOLDS}
    strict = np.concatenate([image.matched(0.5, strict=True) for image in images])
    quality = float(strict.sum())
    union = {threshold: n_predicted + n_true - hit for threshold, hit in hits.items()}
    return Scores(
        f1_50=_ratio(2 * hits[0.5], n_predicted + n_true),
        precision_50=_ratio(hits[0.5], n_predicted),
        recall_50=_ratio(hits[0.5], n_true),
        f1_75=_ratio(2 * hits[0.75], n_predicted + n_true),
        precision_75=_ratio(hits[0.75], n_predicted),
        recall_75=_ratio(hits[0.75], n_true),
        average_precision=float(np.mean([_ratio(hits[t], union[t]) for t in _THRESHOLDS])),
        panoptic_quality=_ratio(2 * quality, n_predicted + n_true),
        segmentation_quality=_ratio(quality, len(strict)),
        recognition_quality=_ratio(2 * len(strict), n_predicted + n_true),
        foreground_iou=float(np.mean([image.foreground_iou for image in images])),
        predicted=n_predicted,
        true=n_true,
    )


def read_labels(path: Path) -> Labels:
    """The label map of a TIFF or .npy file."""
    labels = np.load(path) if path.suffix == ".npy" else tifffile.imread(path)
    if labels.dtype == bool:
        labels = labels.astype(np.uint8)
    if not np.issubdtype(labels.dtype, np.integer):
        message = f"{path} holds {labels.dtype}, label maps are integers"
        raise ValueError(message)
    return np.asarray(labels)


def main(
    predicted: Annotated[Path, typer.Argument(help="Label file to judge: TIFF or .npy")],
    true: Annotated[Path, typer.Argument(help="Label file with the truth")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of lines")] = False,
) -> None:
    """Score PREDICTED against TRUE."""
    scores = asdict(evaluate(read_labels(predicted), read_labels(true)))
    lines = [f"{name:22} {value:.4g}" for name, value in scores.items()]
    sys.stdout.write((json.dumps(scores) if as_json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    typer.run(main)
