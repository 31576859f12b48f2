"""From a grey image to what the network expects: shrunk, normalised, padded."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from emserve.cards import Norms
from emserve.errors import UserError

GreyImage = npt.NDArray[Any]  # (H, W) of bool, uint8, uint16, int16 or float32
FloatImage = npt.NDArray[np.float32]
IntensityRange = Literal["dtype", "percentile"] | tuple[float, float]

_COEFFICIENT_BITS = 11  # of the fixed-point weights that 8-bit images are interpolated with
_PERCENTILES = (1.0, 99.0)
_NARROW = 1 / 8  # a uint16 image that uses less of its range than this is nearly constant to the network


class ImageValues(UserError):
    """The image holds values that are no grey values."""

    slug = "image-values"
    title = "The image holds values that cannot be segmented"
    status = 422


@dataclass(frozen=True)
class Levels:
    """How grey values become numbers from 0 to 1."""

    intensity_range: IntensityRange = "dtype"
    invert: bool = False


def check_values(image: GreyImage) -> None:
    """Raises ImageValues where a float image holds NaN or infinity."""
    if image.dtype.kind != "f":
        return
    finite = np.isfinite(image)
    if not finite.all():
        y, x = np.argwhere(~finite)[0]
        count = image.size - int(np.count_nonzero(finite))
        raise ImageValues(
            f"Of the image's {image.size} pixels {count} are NaN or infinite, the first at row {y}, "
            f"column {x}. Give them grey values and submit the image again."
        )


def uses_little_range(image: GreyImage) -> bool:
    """Whether a uint16 image uses less than an eighth of what its data type could hold."""
    return image.dtype == np.uint16 and int(np.ptp(image)) < _NARROW * np.iinfo(np.uint16).max


def shrink(image: GreyImage, factor: int) -> GreyImage:
    """`image` (H, W) at 1 / `factor`: (ceil(H / factor), ceil(W / factor)), in the same data type.

    Bilinear between pixel centres and without a low-pass filter, which the released weights were used with:
    value for value what OpenCV's INTER_LINEAR gives, whose 8-bit arithmetic is in fixed point.
    """
    if factor == 1:
        return image
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * np.uint8(255)
    height, width = image.shape
    rows, columns = _taps(height, -(-height // factor)), _taps(width, -(-width // factor))
    if image.dtype == np.uint8:
        return _interpolate_fixed(image, rows, columns)
    values = _interpolate(image.astype(np.float32), rows, columns)
    return values if image.dtype.kind == "f" else np.rint(values).astype(image.dtype)


@dataclass(frozen=True)
class _Taps:
    """The two source pixels of each output pixel, and the share of the second."""

    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]
    share: npt.NDArray[np.float32]


def _taps(n_in: int, n_out: int) -> _Taps:
    position = (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5
    first = np.clip(np.floor(position), 0, n_in - 1).astype(np.intp)
    second = np.minimum(first + 1, n_in - 1)
    share = np.where(first == second, 0, np.clip(position - first, 0, 1))
    return _Taps(first, second, share.astype(np.float32))


def _interpolate(image: FloatImage, rows: _Taps, columns: _Taps) -> FloatImage:
    left, right = image[:, columns.first], image[:, columns.second]
    across = left + (right - left) * columns.share
    top, bottom = across[rows.first], across[rows.second]
    return top + (bottom - top) * rows.share[:, None]


def _interpolate_fixed(image: npt.NDArray[np.uint8], rows: _Taps, columns: _Taps) -> npt.NDArray[np.uint8]:
    source = image.astype(np.int32)
    left, right = _fixed(1 - columns.share), _fixed(columns.share)
    across = (source[:, columns.first] * left + source[:, columns.second] * right) >> 4
    top = (across[rows.first] * _fixed(1 - rows.share)[:, None]) >> 16
    bottom = (across[rows.second] * _fixed(rows.share)[:, None]) >> 16
    return ((top + bottom + 2) >> 2).astype(np.uint8)


def _fixed(share: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    return np.rint(share * (1 << _COEFFICIENT_BITS)).astype(np.int32)


def normalise(image: GreyImage, norms: Norms, levels: Levels | None = None) -> FloatImage:
    """`image` (H, W) as float32 with the model's mean at 0 and its standard deviation at 1.

    By data type, M being the largest value of the type: (image - mean M) / (std M). Otherwise the
    percentiles or the two given values become 0 and 1, and what lies outside is cut off there.
    """
    levels = levels or Levels()
    if levels.intensity_range == "dtype":
        low, high = 0.0, _largest(image)
    elif levels.intensity_range == "percentile":
        low, high = (float(value) for value in np.percentile(image, _PERCENTILES))
    else:
        low, high = levels.intensity_range
    mean, std = norms.mean, norms.std
    if levels.invert:  # 1 - v has its mean at 1 - mean; the sign turns with it
        mean, std = 1 - norms.mean, -norms.std
    span = high - low if high > low else 1.0  # a constant image
    values = image.astype(np.float32)
    if levels.intensity_range != "dtype":
        np.clip(values, low, high, out=values)
    values -= np.float32(low + mean * span)
    values *= np.float32(1 / (std * span))
    return values


def _largest(image: GreyImage) -> float:
    return 1.0 if image.dtype == np.bool_ else float(np.iinfo(image.dtype).max)


def pad(image: FloatImage, multiple: int) -> FloatImage:
    """`image` (H, W) with zeros (the mean grey, after `normalise`) below and right, to multiples."""
    height, width = image.shape
    return np.pad(image, ((0, -height % multiple), (0, -width % multiple)))
