"""Object centres: the peaks of the heat map."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage


def find_centres(heat: npt.NDArray[np.float32], threshold: float, window: int) -> npt.NDArray[np.intp]:
    """(K, 2) positions (y, x) of the peaks of a heat map (h, w), in row-major order.

    A peak is above `threshold` and nowhere lower than its neighbours in a `window` x `window` square; an
    even window reaches one pixel further up and left. Every pixel of a plateau is a peak.
    (Panoptic-DeepLab, section 3.3: keypoints by max pooling.)
    """
    above = np.where(heat > np.float32(threshold), heat, np.float32(-1))
    highest = ndimage.maximum_filter(above, size=window, mode="constant", cval=-np.inf)
    return np.argwhere((above == highest) & (above > 0))
