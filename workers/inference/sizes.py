"""Sizes: which objects are large enough to keep."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from workers.inference.merge import Labels


def large_enough(labels: Labels, min_pixels: int, min_extent: int) -> npt.NDArray[np.bool_]:
    """(n + 1,) whether each label has `min_pixels` and no side of its bounding box under `min_extent`."""
    areas = np.bincount(labels.ravel())
    wanted = areas >= min_pixels
    if min_extent > 1:
        for index, box in enumerate(ndimage.find_objects(labels.astype(np.int32, copy=False)), start=1):
            sides = (box[0].stop - box[0].start, box[1].stop - box[1].start)
            wanted[index] &= min(sides) >= min_extent
    wanted[0] = True
    return wanted
