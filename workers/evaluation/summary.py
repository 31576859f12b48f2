"""Scores out of overlaps.

A pair is found at an IoU of at least the threshold, one to one. Average precision is TP / (TP + FP + FN), as
StarDist and Cellpose have it, as a mean over IoU 0.50, 0.55 … 0.95; panoptic quality is that of Kirillov et
al., CVPR 2019.
"""

import numpy as np

from emserve.scores import Scores
from workers.evaluation.outcomes import Outcome, Outcomes, find_outcomes
from workers.evaluation.overlaps import Labels, Overlaps, find_overlaps

_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


def evaluate(predicted: Labels, true: Labels) -> Scores:
    """Scores of `predicted` against `true`, two integer label maps of one shape. Raises UnusableLabels."""
    return summarise([find_overlaps(predicted, true)])


def summarise(images: list[Overlaps]) -> Scores:
    """Scores over all objects of several images; the foreground's IoU is the mean over images."""
    n_predicted = sum(len(image.predicted_objects) for image in images)
    n_true = sum(len(image.true_objects) for image in images)
    hits = {threshold: sum(len(image.matched(threshold)) for image in images) for threshold in _THRESHOLDS}
    union = {threshold: n_predicted + n_true - hit for threshold, hit in hits.items()}
    strict = np.concatenate([image.iou[image.matched(0.5, strict=True)] for image in images])
    nothing = 0.0 if n_predicted + n_true else 1.0  # the measures of no objects: two empty maps agree

    def ratio(part: float, whole: float) -> float:
        return part / whole if whole else nothing

    quality = ratio(float(strict.sum()), len(strict))
    recognition = ratio(2 * len(strict), n_predicted + n_true)
    outcomes = [find_outcomes(image) for image in images]
    return Scores(
        f1_50=ratio(2 * hits[0.5], n_predicted + n_true),
        precision_50=ratio(hits[0.5], n_predicted),
        recall_50=ratio(hits[0.5], n_true),
        f1_75=ratio(2 * hits[0.75], n_predicted + n_true),
        precision_75=ratio(hits[0.75], n_predicted),
        recall_75=ratio(hits[0.75], n_true),
        average_precision=float(np.mean([ratio(hits[t], union[t]) for t in _THRESHOLDS])),
        panoptic_quality=quality * recognition,
        segmentation_quality=quality,
        recognition_quality=recognition,
        foreground_iou=float(np.mean([image.foreground_iou for image in images])),
        predicted=n_predicted,
        true=n_true,
        hits=hits[0.5],
        misses=_true(outcomes, Outcome.MISS),
        false_hits=_predicted(outcomes, Outcome.FALSE_HIT),
        splits=_true(outcomes, Outcome.SPLIT),
        split_parts=_predicted(outcomes, Outcome.SPLIT),
        merges=_predicted(outcomes, Outcome.MERGE),
        merged=_true(outcomes, Outcome.MERGE),
    )


def _predicted(outcomes: list[Outcomes], wanted: Outcome) -> int:
    return sum(int(np.count_nonzero(each.predicted == wanted)) for each in outcomes)


def _true(outcomes: list[Outcomes], wanted: Outcome) -> int:
    return sum(int(np.count_nonzero(each.true == wanted)) for each in outcomes)
