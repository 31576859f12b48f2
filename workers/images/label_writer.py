"""Writes the label map of a volume slice by slice, its smaller copies with it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from emserve.storage import storage_errors
from workers.images.label_levels import levels
from workers.images.label_map import LabelMap

Labels = NDArray[Any]  # uint8, uint16 or uint32


class LabelWriter:
    """Holds slices until their chunks are whole; what is written can be read at once."""

    def __init__(self, volume: LabelMap) -> None:
        """`volume` comes from `create_labels`."""
        self._dtype = volume.dtype
        self._arrays = [volume.array, *volume.copies]
        self._levels = levels(volume.shape, volume.dtype.itemsize, volume.pixel_size_nm)
        self._slabs: list[list[Labels]] = [[] for _ in self._levels]
        self._written = [0] * len(self._levels)
        self._count = 0

    def add(self, labels: Labels) -> None:
        """The next slice (Y, X)."""
        for number, level in enumerate(self._levels):
            if self._count % level.step[0] == 0:
                self._slabs[number].append(labels[:: level.step[1], :: level.step[2]].astype(self._dtype))
                if len(self._slabs[number]) == level.chunks[0]:
                    self._flush(number)
        self._count += 1

    def finish(self) -> None:
        """After the last slice."""
        for number in range(len(self._levels)):
            self._flush(number)

    def _flush(self, number: int) -> None:
        slab, begin = self._slabs[number], self._written[number]
        if slab:
            with storage_errors():
                self._arrays[number][begin : begin + len(slab)] = np.stack(slab)
            self._written[number] += len(slab)
            slab.clear()
