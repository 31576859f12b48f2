"""The median over neighbouring slices, which removes what one slice alone shows or lacks."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from workers.inference.volume.record import SliceRecord

Evidence = npt.NDArray[Any]  # packed bits or float32


class RecursiveMedian:
    """Per pixel the median of a slice and its neighbours, the slices before it being medians already.

    Recursive, as the reference is: users know its results. The first and the last slices, which lack
    neighbours, stay as they are; so does a stack of fewer slices than the filter takes.
    """

    def __init__(self, size: int) -> None:
        """Over `size` slices, an odd number."""
        self._size, self._middle = size, size // 2
        self._window: deque[SliceRecord] = deque(maxlen=size)
        self._waiting: deque[SliceRecord] = deque()
        self._pushed = 0

    def push(self, record: SliceRecord) -> Iterator[SliceRecord]:
        """Takes the next slice, gives those that are finished."""
        self._window.append(record)
        self._waiting.append(record)
        self._pushed += 1
        if self._pushed <= self._middle:
            yield self._waiting.popleft()
        elif self._pushed >= self._size:
            evidence = _median([each.evidence for each in self._window], has_bits=record.has_bits)
            filtered = replace(self._waiting.popleft(), evidence=evidence)
            self._window[self._middle] = filtered
            yield filtered

    def end(self) -> Iterator[SliceRecord]:
        """The slices that are left."""
        while self._waiting:
            yield self._waiting.popleft()


def _median(layers: list[Evidence], *, has_bits: bool) -> Evidence:
    """Of an odd number of arrays; of bits it is what most of them say."""
    if len(layers) == 1:
        return layers[0]
    # greatest[k] is the value number k + 1 from above. Of bits, "and" is the smaller of two.
    smaller, larger = (np.bitwise_and, np.bitwise_or) if has_bits else (np.minimum, np.maximum)
    greatest: list[Evidence] = []
    for layer in layers:
        lower = layer  # what moves down past the values above
        for k, value in enumerate(greatest):
            greatest[k], lower = larger(value, lower), smaller(value, lower)
        if len(greatest) <= len(layers) // 2:
            greatest.append(lower)
    return greatest[-1]
