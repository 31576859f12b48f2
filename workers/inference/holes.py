"""Holes: background that one object encloses becomes part of it; other objects keep their pixels."""

import cc3d
import numpy as np
from scipy import ndimage

from workers.inference.merge import Labels


def fill_holes(labels: Labels) -> Labels:
    """`labels` (H, W) with each object's holes filled, those of objects inside others first.

    A hole is background that no path of 4-neighbours joins to the image's border without crossing the
    object, whose own pixels hold together over corners.
    """
    filled = labels.copy()
    boxes = ndimage.find_objects(labels.astype(np.int32, copy=False))
    candidates = [(label, boxes[label - 1]) for label in _around_pockets(labels)]
    for label, box in sorted(candidates, key=lambda each: _area(each[1])):
        window = filled[box]
        window[ndimage.binary_fill_holes(window == label) & (window == 0)] = label
    return filled


def _around_pockets(labels: Labels) -> list[int]:
    """Labels that touch background which does not reach the image's border."""
    background = cc3d.connected_components((labels == 0).astype(np.uint8), connectivity=4)
    edge = np.concatenate([background[0], background[-1], background[:, 0], background[:, -1]])
    background[np.isin(background, edge[edge > 0])] = 0
    touching = ndimage.grey_dilation(background, footprint=ndimage.generate_binary_structure(2, 1))
    return [int(label) for label in np.unique(labels[(touching > 0) & (labels > 0)])]


def _area(box: tuple[slice, ...]) -> int:
    area: int = (box[0].stop - box[0].start) * (box[1].stop - box[1].start)
    return area
