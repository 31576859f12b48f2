"""A label map of a volume as spans of its xy slices in a file: memory depends on a slice."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.inference.spool import Spool
from workers.inference.volume.plane import Shape
from workers.inference.volume.spans import Integers, Labels, Spans, paint

_SPAN = np.dtype([("begin", "<u8"), ("owner", "<u4"), ("length", "<u4")])


class SpanFile:
    """Spans of slices, in the order in which they were written."""

    dtype = _SPAN

    def __init__(self, spool: Spool) -> None:
        self.spool = spool

    def __len__(self) -> int:
        return len(self.spool)

    def append(self, spans: Spans) -> None:
        packed = np.empty(len(spans), _SPAN)
        packed["begin"], packed["owner"], packed["length"] = spans.begin, spans.owner, spans.length
        self.spool.append(packed)

    def read(self, index: int) -> Spans:
        packed = self.spool.read(index)
        begin = packed["begin"].astype(np.int64)
        return Spans(packed["owner"].astype(np.int64), begin, begin + packed["length"])


@dataclass(frozen=True)
class SpanVolume:
    """Labels 0 to `count` of a volume (Z, Y, X)."""

    shape: Shape
    file: SpanFile
    backwards: bool
    """Whether the last slice was written first."""
    names: npt.NDArray[np.uint32]
    """Label of each owner in the file; that of 0 is 0."""

    @classmethod
    def of(cls, shape: Shape, file: SpanFile, count: int, *, backwards: bool = False) -> Self:
        """Of a file whose owners are 1 to `count`."""
        return cls(shape, file, backwards, np.arange(count + 1, dtype=np.uint32))

    @property
    def count(self) -> int:
        """The largest label."""
        return int(self.names.max())

    def slice(self, z: int) -> Spans:
        """Labels of one xy slice."""
        index = len(self.file) - 1 - z if self.backwards else z
        return self.file.read(index).renamed(self.names)

    def read(self, z0: int, z1: int) -> Labels:
        """(z1 - z0, Y, X) labels of slices z0 to z1 - 1."""
        height, width = self.shape[1:]
        labels = np.empty((z1 - z0, height, width), np.uint32)
        for z in range(z0, z1):
            labels[z - z0] = paint(self.slice(z), (height, width))
        return labels

    def renamed(self, names: Integers | Labels) -> Self:
        """With `names[label]` in place of each label; 0 leaves out."""
        return replace(self, names=np.asarray(names, np.uint32)[self.names])
