"""Which objects of two label maps share how many pixels, counted in one pass over their parts."""

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]  # any integer width: label files come in all of them
Integers = NDArray[np.int64]

_WAITING = 1 << 22  # pairs that are kept before equal ones are added up


class UnusableLabels(ValueError):
    """What was given is no label map, or not one of the same place; `str` is fit for users."""


@dataclass(frozen=True)
class Objects:
    """The objects of a label map, numbered from 0 in ascending order of their labels."""

    labels: NDArray[np.uint64]
    pixels: Integers

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Overlaps:
    """Pairs of objects that share pixels: `shared` of number `predicted` and number `true`."""

    predicted: Integers
    true: Integers
    shared: Integers
    predicted_objects: Objects
    true_objects: Objects

    @property
    def iou(self) -> NDArray[np.float64]:
        """Of each pair: the pixels that both have, by the pixels that either has."""
        pixels = self.predicted_objects.pixels[self.predicted] + self.true_objects.pixels[self.true]
        return np.asarray(self.shared / (pixels - self.shared), np.float64)

    @property
    def foreground_iou(self) -> float:
        """IoU of everything that is an object; 1 where neither map has any."""
        shared = int(self.shared.sum())
        either = int(self.predicted_objects.pixels.sum() + self.true_objects.pixels.sum()) - shared
        return shared / either if either else 1.0

    def matched(self, threshold: float, *, strict: bool = False) -> Integers:
        """Numbers of the pairs with an IoU of at least (`strict`: above) `threshold`, one to one.

        As objects of a map do not overlap, an object has an IoU above 0.5 with one other at most, and of
        exactly 0.5 with two only if these are its halves and overlap nothing else. So from 0.5 on, the first
        pair of each object is a largest matching, and every other largest one has the same IoUs. Raises
        ValueError for a lower threshold."""
        if threshold < 0.5:
            raise ValueError(f"below 0.5 an object may match several: {threshold}")
        pairs = np.flatnonzero(self.iou > threshold if strict else self.iou >= threshold)
        for side in (self.predicted, self.true):
            _, first = np.unique(side[pairs], return_index=True)
            pairs = pairs[first]
        return pairs.astype(np.int64)


@dataclass(frozen=True)
class _Counts:
    """How many pixels have a label in one map and a label in the other, background included."""

    predicted: NDArray[np.uint64]
    true: NDArray[np.uint64]
    pixels: Integers

    @classmethod
    def of(cls, predicted: Labels, true: Labels) -> Self:
        """By runs of pixels with the same two labels: what is linear goes over pixels, sorting over runs."""
        first, second = predicted.ravel(), true.ravel()
        begins = np.ones(len(first), np.bool_)
        begins[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        starts = np.flatnonzero(begins)
        lengths = np.diff(starts, append=len(first)).astype(np.int64)
        return cls(first[starts].astype(np.uint64), second[starts].astype(np.uint64), lengths).summed()

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        return cls(
            np.concatenate([part.predicted for part in parts]),
            np.concatenate([part.true for part in parts]),
            np.concatenate([part.pixels for part in parts]),
        ).summed()

    def summed(self) -> Self:
        """Each pair once, in ascending order."""
        if len(self.pixels) == 0:
            return self
        order = np.lexsort((self.true, self.predicted))
        first, second = self.predicted[order], self.true[order]
        begins = np.ones(len(order), np.bool_)
        begins[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        starts = np.flatnonzero(begins)
        return type(self)(first[starts], second[starts], np.add.reduceat(self.pixels[order], starts))

    def renamed(self, predicted: Integers | None, true: Integers | None) -> Self:
        """With other labels: `predicted[old]`, `true[old]`."""
        first = self.predicted if predicted is None else predicted[self.predicted].astype(np.uint64)
        second = self.true if true is None else true[self.true].astype(np.uint64)
        return type(self)(first, second, self.pixels).summed()

    def overlaps(self) -> Overlaps:
        first, second = _objects(self.predicted, self.pixels), _objects(self.true, self.pixels)
        both = (self.predicted > 0) & (self.true > 0)
        return Overlaps(
            np.searchsorted(first.labels, self.predicted[both]).astype(np.int64),
            np.searchsorted(second.labels, self.true[both]).astype(np.int64),
            self.pixels[both],
            first,
            second,
        )


def _objects(labels: NDArray[np.uint64], pixels: Integers) -> Objects:
    found, places = np.unique(labels, return_inverse=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, places, pixels)
    return Objects(found[found > 0], sums[found > 0])


@dataclass
class OverlapCounter:
    """Counts over two label maps that come in parts; memory depends on the objects, not on the pixels."""

    _parts: list[_Counts] = field(default_factory=list)
    _waiting: int = 0
    _limit: int = _WAITING

    def add(self, predicted: Labels, true: Labels) -> None:
        """Another part of both maps, of one shape; labels are not negative."""
        part = _Counts.of(predicted, true)
        self._parts.append(part)
        self._waiting += len(part.pixels)
        if self._waiting > self._limit:
            self._parts = [_Counts.joined(self._parts)]
            self._waiting = len(self._parts[0].pixels)
            self._limit = _WAITING + 2 * self._waiting

    def overlaps(self, predicted: Integers | None = None, true: Integers | None = None) -> Overlaps:
        """Of all parts; where an array is given, it has the final label of each label that was added."""
        empty = _Counts(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.int64))
        return _Counts.joined([empty, *self._parts]).renamed(predicted, true).overlaps()


def require_labels(array: NDArray[Any], name: str) -> Labels:
    """`array` as labels; bool becomes 0 and 1. Raises UnusableLabels."""
    require_integers(array.dtype, name)
    if array.dtype == np.bool_:
        return array.view(np.uint8)
    if array.dtype.kind == "i" and array.size and (lowest := int(array.min())) < 0:
        raise UnusableLabels(
            f"{name} holds the label {lowest}. Labels are 0 for background and positive for objects: set "
            "what is no object to 0."
        )
    return array


def require_integers(dtype: np.dtype[Any], name: str) -> None:
    """Raises UnusableLabels."""
    if dtype.kind not in "biu":
        raise UnusableLabels(
            f"{name} holds {dtype.name} and label maps are integers: save it with 0 for background and the "
            "number of the object elsewhere, as uint16 or uint32."
        )


def require_one_shape(predicted: tuple[int, ...], true: tuple[int, ...]) -> None:
    """Raises UnusableLabels."""
    if predicted != true:
        raise UnusableLabels(
            f"The label maps differ in shape: the predicted one is {shown(predicted)} and the true one "
            f"{shown(true)}. Compare maps of the same pixels."
        )


def shown(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def find_overlaps(predicted: Labels, true: Labels) -> Overlaps:
    """Of two label maps of one shape (any number of axes, 0 is background). Raises UnusableLabels."""
    require_one_shape(predicted.shape, true.shape)
    counter = OverlapCounter()
    counter.add(require_labels(predicted, "The predicted map"), require_labels(true, "The true map"))
    return counter.overlaps()
