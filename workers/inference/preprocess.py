"""From a grey image to what the network expects: shrunk and normalised, band by band."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from emserve.cards import Norms
from emserve.errors import UserError
from workers.inference.rows import Rows, bands

GreyImage = npt.NDArray[Any]  # (rows, W) of uint8, uint16, int16 or float32
FloatImage = npt.NDArray[np.float32]
IntensityRange = Literal["dtype", "percentile"] | tuple[float, float]

_COEFFICIENT_BITS = 11  # of the fixed-point weights that 8-bit images are interpolated with
_PERCENTILES = (1.0, 99.0)
_ALL_BUT_A_FEW = (0.1, 99.9)  # percentiles; a hot pixel says nothing of the range that an image uses
_SAMPLES = 1 << 22  # of a float image, whose percentiles are estimated from evenly spread pixels
_BAND_PIXELS = 1 << 22
_LARGEST, _EQUAL = 1e38, 1e-30  # grey values beyond the one, and closer than the other, overflow in float32


class ImageValues(UserError):
    """The image holds values that are no grey values."""

    slug = "image-values"
    title = "The image holds values that cannot be segmented"
    status = 422


@dataclass(frozen=True)
class Levels:
    """Which grey values become 0 and 1."""

    low: float
    high: float
    clip: bool
    """Whether what lies outside is cut off there."""
    invert: bool = False


@dataclass(frozen=True)
class GreyValues:
    """What one look at every pixel tells."""

    percentiles: tuple[float, float]
    """The 1st and the 99th."""
    darkest: float
    brightest: float
    """Without a thousandth of the pixels at either end."""


def look(image: Rows) -> GreyValues:
    """Reads every pixel once. Raises ImageValues where a float image holds NaN or infinity."""
    height, width = image.shape
    census = Census(image.dtype, height * width)
    for y0, y1 in bands(height, max(1, _BAND_PIXELS // width)):
        census.add(image.read(y0, y1), y0)
    return census.values()


class Census:
    """Counts grey values, part by part."""

    def __init__(self, dtype: np.dtype[Any], pixels: int) -> None:
        """Of so many pixels in all."""
        self._dtype = dtype
        self._thinning = max(1, pixels // _SAMPLES)
        self._seen = 0
        self._counts = np.zeros(1 << 16, np.int64)
        self._samples: list[GreyImage] = []

    def add(self, band: GreyImage, y0: int, where: str = "") -> None:
        """A part (rows, W) that begins at row `y0`. Raises ImageValues, naming the place, and `where`."""
        if band.dtype.kind == "f":
            _check_values(band, y0, where)
            self._samples.append(self._thinned(band))
        else:
            self._counts += np.bincount(_shifted(band).ravel(), minlength=len(self._counts))

    def _thinned(self, band: GreyImage) -> GreyImage:
        step = self._thinning
        while math.gcd(step, band.shape[1]) > 1:  # otherwise some columns are never looked at
            step += 1
        begin = -self._seen % step
        self._seen += band.size
        return band.ravel()[begin::step]

    def values(self) -> GreyValues:
        wanted = (*_PERCENTILES, *_ALL_BUT_A_FEW)
        if self._samples:
            found = np.percentile(np.concatenate(self._samples), wanted)
        else:
            found = _percentiles(self._counts, wanted) + _lowest(self._dtype)
        low, high, darkest, brightest = found.tolist()
        return GreyValues((low, high), darkest, brightest)


def _check_values(band: GreyImage, y0: int, where: str) -> None:
    finite = np.isfinite(band)
    if not finite.all():
        y, x = np.argwhere(~finite)[0]
        raise ImageValues(
            f"There are values that are NaN or infinite, the first at {where}row {y0 + y}, column {x}. "
            "Give such pixels grey values and submit the file again."
        )


def _shifted(band: GreyImage) -> GreyImage:
    """Integers from 0."""
    return band.astype(np.int32) - _lowest(band.dtype)


def _lowest(dtype: np.dtype[Any]) -> int:
    return int(np.iinfo(dtype).min)


def _percentiles(counts: npt.NDArray[np.int64], wanted: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Of integers from a count of each; between two of them linearly, as numpy does."""
    ranks = np.array(wanted) / 100 * (counts.sum() - 1)
    upto = np.cumsum(counts)
    below = np.searchsorted(upto, np.floor(ranks), side="right")
    above = np.searchsorted(upto, np.ceil(ranks), side="right")
    return np.asarray(below + (above - below) * (ranks - np.floor(ranks)), np.float64)


def choose_levels(
    dtype: np.dtype[Any], values: GreyValues, intensity_range: IntensityRange, invert: bool
) -> Levels:
    """By data type: 0 and its largest value. Otherwise the percentiles, or the two given values, cut off at
    1e38 on either side of 0."""
    if intensity_range == "dtype":
        return Levels(0.0, float(np.iinfo(dtype).max), False, invert)
    low, high = values.percentiles if intensity_range == "percentile" else intensity_range
    return Levels(_bounded(low), _bounded(high), True, invert)


def _bounded(value: float) -> float:
    return max(-_LARGEST, min(value, _LARGEST))


def normalise(image: GreyImage, norms: Norms, levels: Levels) -> FloatImage:
    """`image` as float32 with the model's mean at 0 and its standard deviation at 1.

    With M the largest value of the data type: (image - mean M) / (std M). Between levels less than 1e-30
    apart, as those of a constant image are, all is one grey.
    """
    mean, std = norms.mean, norms.std
    if levels.invert:  # 1 - v has its mean at 1 - mean; the sign turns with it
        mean, std = 1 - norms.mean, -norms.std
    span = levels.high - levels.low if levels.high - levels.low > _EQUAL else 1.0
    values = image.astype(np.float32)
    if levels.clip:
        np.clip(values, levels.low, levels.high, out=values)
    values -= np.float32(levels.low + mean * span)
    values *= np.float32(1 / (std * span))
    return values


class Shrunk:
    """An image at 1 / `factor`: (ceil(H / factor), ceil(W / factor)), in the same data type.

    Bilinear between pixel centres and without a low-pass filter, which the released weights were used with:
    value for value what OpenCV's INTER_LINEAR gives, whose 8-bit arithmetic is in fixed point.
    """

    def __init__(self, image: Rows, factor: int) -> None:
        self._image = image
        self._factor = factor
        height, width = image.shape
        self.shape: tuple[int, ...] = (-(-height // factor), -(-width // factor))
        self.dtype: np.dtype[Any] = image.dtype
        exactly = self.dtype in (np.uint16, np.int16)  # OpenCV rounds positions to float32 for the others
        self._rows = _taps(height, self.shape[0], exactly)
        self._columns = _taps(width, self.shape[1], exactly)

    def read(self, y0: int, y1: int) -> GreyImage:
        """Rows y0 to y1 - 1, cut off at the last."""
        y1 = min(y1, self.shape[0])
        if self._factor == 1:
            return self._image.read(y0, y1)
        at_once = max(1, _BAND_PIXELS // (self._image.shape[1] * self._factor))
        parts = [self._shrunk(y, min(y + at_once, y1)) for y in range(y0, y1, at_once)]
        return np.concatenate(parts)

    def _shrunk(self, y0: int, y1: int) -> GreyImage:
        rows = self._rows.part(y0, y1)
        top = int(rows.first[0])
        band = self._image.read(top, int(rows.second[-1]) + 1)
        rows = rows.from_row(top)
        if band.dtype == np.uint8:
            return _interpolate_fixed(band, rows, self._columns)
        values = _interpolate(band.astype(np.float32), rows, self._columns)
        return values if band.dtype.kind == "f" else np.rint(values).astype(band.dtype)


@dataclass(frozen=True)
class _Taps:
    """The two source pixels of each output pixel, and the share of the second."""

    first: npt.NDArray[np.intp]
    second: npt.NDArray[np.intp]
    share: npt.NDArray[np.float32]

    def part(self, begin: int, end: int) -> Self:
        return replace(
            self, first=self.first[begin:end], second=self.second[begin:end], share=self.share[begin:end]
        )

    def from_row(self, top: int) -> Self:
        return replace(self, first=self.first - top, second=self.second - top)


def _taps(n_in: int, n_out: int, exactly: bool) -> _Taps:
    position = (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5
    if not exactly:
        position = position.astype(np.float32)
    first = np.clip(np.floor(position), 0, n_in - 1).astype(np.intp)
    second = np.minimum(first + 1, n_in - 1)
    share = np.where(first == second, 0, np.clip(position - first, 0, 1))
    return _Taps(first, second, share.astype(np.float32))


def _interpolate(image: FloatImage, rows: _Taps, columns: _Taps) -> FloatImage:
    across = _between(image[:, columns.first], image[:, columns.second], columns.share)
    return _between(across[rows.first], across[rows.second], rows.share[:, None])


def _between(one: FloatImage, other: FloatImage, share: npt.NDArray[np.float32]) -> FloatImage:
    with np.errstate(over="ignore", invalid="ignore"):
        values = one + (other - one) * share
    beyond = ~np.isfinite(values)  # the largest values of float32 differ by more than it holds
    if beyond.any():
        values[beyond] = (one * (1 - share) + other * share)[beyond]
    return values


def _interpolate_fixed(image: npt.NDArray[np.uint8], rows: _Taps, columns: _Taps) -> npt.NDArray[np.uint8]:
    source = image.astype(np.int32)
    left, right = _fixed(1 - columns.share), _fixed(columns.share)
    across = (source[:, columns.first] * left + source[:, columns.second] * right) >> 4
    top = (across[rows.first] * _fixed(1 - rows.share)[:, None]) >> 16
    bottom = (across[rows.second] * _fixed(rows.share)[:, None]) >> 16
    return ((top + bottom + 2) >> 2).astype(np.uint8)


def _fixed(share: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
    return np.rint(share * (1 << _COEFFICIENT_BITS)).astype(np.int32)
