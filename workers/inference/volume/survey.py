"""A survey: how large the objects of a volume are and where they lie."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.inference.volume.plane import Shape
from workers.inference.volume.span_volume import SpanVolume
from workers.inference.volume.spans import Integers, Spans
from workers.inference.volume.tracking import OnSlice

_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Survey:
    """Of labels 0 to n of a volume (Z, Y, X); all arrays have n + 1 entries."""

    voxels: Integers
    first: Integers
    """Position of the first voxel in the flattened volume."""
    low: Integers
    """(3, n + 1) first z, y, x."""
    high: Integers
    """(3, n + 1) one past the last z, y, x."""

    @classmethod
    def empty(cls, n: int) -> "Survey":
        return cls(
            np.zeros(n + 1, np.int64),
            np.full(n + 1, _FAR),
            np.full((3, n + 1), _FAR),
            np.zeros((3, n + 1), np.int64),
        )

    def add(self, z: int, spans: Spans, shape: Shape) -> None:
        """Takes in one xy slice, after those before it."""
        if len(spans) == 0:
            return
        order = np.argsort(spans.owner, kind="stable")
        owner, begin, length = spans.owner[order], spans.begin[order], spans.length[order]
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        label = owner[starts]
        y, x = np.divmod(begin, shape[2])
        lasts = np.append(starts[1:], len(owner)) - 1
        new = self.voxels[label] == 0
        self.first[label[new]] = begin[starts[new]] + z * shape[1] * shape[2]
        self.voxels[label] += np.add.reduceat(length, starts)
        self.low[0, label] = np.minimum(self.low[0, label], z)
        self.high[0, label] = z + 1
        self.low[1, label] = np.minimum(self.low[1, label], y[starts])
        self.high[1, label] = np.maximum(self.high[1, label], y[lasts] + 1)
        self.low[2, label] = np.minimum(self.low[2, label], np.minimum.reduceat(x, starts))
        self.high[2, label] = np.maximum(self.high[2, label], np.maximum.reduceat(x + length, starts))

    @property
    def extents(self) -> Integers:
        """(3, n + 1) sides of the boxes; 0 of labels without voxels."""
        return np.where(self.voxels > 0, self.high - self.low, 0)


def survey(volume: SpanVolume, n: int, on_slice: OnSlice) -> Survey:
    """Reads a volume of labels up to `n` once; calls `on_slice` after each xy slice."""
    found = Survey.empty(n)
    for z in range(volume.shape[0]):
        found.add(z, volume.slice(z), volume.shape)
        on_slice()
    return found


def large_enough(found: Survey, min_size: int, min_extent: int) -> npt.NDArray[np.bool_]:
    """(n + 1,) which labels have as many voxels as `min_size` and no side of their box under `min_extent`."""
    large: npt.NDArray[np.bool_] = found.voxels >= min_size
    wide: npt.NDArray[np.bool_] = found.extents.min(axis=0) >= min_extent
    return large & wide
