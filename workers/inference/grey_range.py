"""Whether the network can see anything: how much of the range that becomes 0 to 1 an image uses."""

from typing import Any

import numpy as np

from emserve.jobs import JobWarning
from workers.inference.preprocess import GreyValues, IntensityRange

_NARROW = 1 / 8  # what uses less of the range than this looks constant to the network


def warn_of_range(
    dtype: np.dtype[Any], values: GreyValues, intensity_range: IntensityRange
) -> tuple[JobWarning, ...]:
    """A warning where pixels of `dtype` use less than an eighth of the range, else none.

    A thousandth of the pixels at either end is left out. Of images of 8 bits, `dtype` is what their
    instrument chose, and they are taken as they are.
    """
    if intensity_range == "dtype":
        used = values.brightest - values.darkest
        if dtype.itemsize == 2 and used < _NARROW * 0xFFFF:
            return _warned(_OF_DTYPE)
    elif intensity_range == "percentile":
        low, high = values.percentiles
        if low == high:
            return _warned(_of_percentiles(values))
    else:
        low, high = intensity_range
        darkest, brightest = (min(max(value, low), high) for value in (values.darkest, values.brightest))
        if brightest - darkest < _NARROW * (high - low):
            return _warned(_of_two_values(values, low, high))
    return ()


def _warned(detail: str) -> tuple[JobWarning, ...]:
    return (JobWarning(code="low-dynamic-range", detail=detail),)


_OF_DTYPE = (
    "The image uses less than an eighth of the range of its data type, so it looks nearly constant to "
    'the network. Set `intensity_range` to "percentile" or to the camera\'s own range, such as [0, 4095].'
)


def _of_percentiles(values: GreyValues) -> str:
    grey = values.percentiles[0]
    told = f"The image's 1st and 99th percentiles are both {grey:g}, so the network sees one grey."
    if values.brightest > values.darkest:
        told += (
            " Set `intensity_range` to the grey values of what it is to see, such as "
            f"[{values.darkest:g}, {values.brightest:g}]."
        )
    return told


def _of_two_values(values: GreyValues, low: float, high: float) -> str:
    return (
        f"Nearly all grey values of the image lie between {values.darkest:g} and {values.brightest:g}. Of "
        f"[{low:g}, {high:g}], which `intensity_range` gives, they use less than an eighth, so the image "
        "looks nearly constant to the network. Set `intensity_range` to the grey values of what it is to "
        'see, or to "percentile".'
    )
