"""The scores of a label map against the truth; docs/evaluation.md defines each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scores:
    """Agreement of label maps with the truth: measures from 0 to 1, then numbers of objects.

    Two empty maps agree fully."""

    f1_50: float
    """At IoU 0.5; `_75`: at IoU 0.75."""
    precision_50: float
    recall_50: float
    f1_75: float
    precision_75: float
    recall_75: float
    average_precision: float
    """Mean of TP / (TP + FP + FN) over IoU 0.50, 0.55 … 0.95."""
    panoptic_quality: float
    """Segmentation quality times recognition quality, of pairs with IoU above 0.5."""
    segmentation_quality: float
    recognition_quality: float
    foreground_iou: float
    predicted: int
    """Predicted objects: hits, false hits, parts of splits and merges."""
    true: int
    """True objects: hits, misses, splits and those that were merged."""
    hits: int
    """Pairs with IoU of at least 0.5."""
    misses: int
    false_hits: int
    splits: int
    """True objects that were predicted as several."""
    split_parts: int
    """Predicted objects that are the parts of splits."""
    merges: int
    """Predicted objects that take several true ones for one."""
    merged: int
    """True objects that are in merges."""
