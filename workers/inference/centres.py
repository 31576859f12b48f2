"""Object centres: the peaks of the heat map."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from workers.inference.rows import Rows, bands

_BAND_PIXELS = 1 << 18


def find_centres(heat: Rows, threshold: float, window: int) -> npt.NDArray[np.intp]:
    """(K, 2) positions (y, x) of the peaks of a heat map (h, w), in row-major order.

    A peak is above `threshold` and nowhere lower than its neighbours in a `window` x `window` square; an
    even window reaches one pixel further up and left. Every pixel of a plateau is a peak.
    (Panoptic-DeepLab, section 3.3: keypoints by max pooling.)
    """
    height, width = heat.shape
    rows = max(1, _BAND_PIXELS // max(1, width))
    found = [_peaks(heat, (y0, y1), threshold, window) for y0, y1 in bands(height, rows)]
    return np.concatenate([np.empty((0, 2), np.intp), *found])


def _peaks(heat: Rows, band: tuple[int, int], threshold: float, window: int) -> npt.NDArray[np.intp]:
    """The peaks in rows y0 to y1 - 1, their neighbours outside the band included in the comparison."""
    y0, y1 = band
    top = max(0, y0 - window)
    values = heat.read(top, min(heat.shape[0], y1 + window))
    above = np.where(values > np.float32(threshold), values, np.float32(-1))
    highest = ndimage.maximum_filter(above, size=window, mode="constant", cval=-np.inf)
    peaks = np.argwhere(((above == highest) & (above > 0))[y0 - top : y1 - top])
    return np.asarray(peaks + np.array([y0, 0]), np.intp)
