"""Labelled volumes: objects of a volume with what is known of each."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from workers.inference.volume.span_volume import SpanVolume
from workers.inference.volume.survey import Survey

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labelled:
    """Objects 1 to n of a volume; the arrays of n + 1 begin with the background's entry."""

    volume: SpanVolume
    class_ids: npt.NDArray[np.uint8]
    """(n + 1,)"""
    confidence: Floats
    """(n + 1,) mean height of the heat map at the centres of an object's pieces; NaN where there is none."""

    @property
    def count(self) -> int:
        return len(self.class_ids) - 1

    def only(self, wanted: npt.NDArray[np.bool_]) -> Self:
        """The objects that are `wanted` (n + 1,), in the same order, without gaps."""
        return self._ordered(np.flatnonzero(wanted[1:]) + 1)

    def sorted(self, found: Survey, wanted: npt.NDArray[np.bool_]) -> Self:
        """The objects that are `wanted` (n + 1,) by class, then by first voxel, without gaps."""
        kept = np.flatnonzero(wanted & (found.voxels > 0))
        return self._ordered(kept[np.lexsort((found.first[kept], self.class_ids[kept]))])

    def _ordered(self, labels: npt.NDArray[np.intp]) -> Self:
        names = np.zeros(len(self.class_ids), np.uint32)
        names[labels] = np.arange(1, len(labels) + 1)
        every = np.append(0, labels)
        return replace(
            self,
            volume=self.volume.renamed(names),
            class_ids=self.class_ids[every],
            confidence=self.confidence[every],
        )

    def by_class(self) -> Self:
        """Each class as one object, whose label is the class's id; a class may be without voxels."""
        n = int(self.class_ids.max())
        return replace(
            self,
            volume=self.volume.renamed(self.class_ids.astype(np.uint32)),
            class_ids=np.arange(n + 1, dtype=np.uint8),
            confidence=np.full(n + 1, np.nan),
        )
