"""Tracking: objects of slices become objects of the stack."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.inference.rows import Workspace
from workers.inference.volume.matching import Chain, SliceObjects, in_one
from workers.inference.volume.span_volume import SpanFile
from workers.inference.volume.spans import Integers, Spans

Floats = npt.NDArray[np.float64]
OnSlice = Callable[[], None]


@dataclass(frozen=True)
class Tracks:
    """The objects of a stack: 1 to n by class, then as they were met."""

    file: SpanFile
    """Of the stack's slices; owners are numbers, `names` of which are the objects."""
    names: npt.NDArray[np.uint32]
    class_ids: npt.NDArray[np.uint8]
    """(n + 1,) that of 0 is 0."""
    confidence: Floats
    """(n + 1,) mean height of the heat map at the centres of an object's pieces, by their pixels; NaN where
    there is none."""
    backwards: bool = True
    """Whether the last slice was written first."""

    def slice(self, index: int) -> Spans:
        """The objects of one of the stack's slices."""
        return self.file.read(len(self.file) - 1 - index if self.backwards else index).renamed(self.names)


class Tracker:
    """Takes slices in order; what it has seen of them lies in files of the workspace.

    Forward, objects take the names of those before them and get new ones where there are none. Backward, they
    take the names of those behind them and keep their own where there are none.
    """

    def __init__(self, workspace: Workspace, name: str, things: frozenset[int]) -> None:
        """Of classes outside `things` all slices are one object. `name` tells its files from others."""
        self._workspace, self._name = workspace, name
        self._things = things
        self._spans = SpanFile(workspace.spool(f"pieces-{name}", SpanFile.dtype))
        self._classes = workspace.spool(f"classes-{name}", np.uint8)
        self._names = workspace.spool(f"names-{name}", np.int64)
        self._heights = workspace.spool(f"heights-{name}", np.float32)
        self._forward = Chain()
        self._unused = 1
        self._stuff: dict[int, int] = {}

    def add(self, objects: SliceObjects, confidence: npt.NDArray[np.float32]) -> Integers:
        """Takes the next slice, with the confidence (k + 1,) of each object; the names that they get."""
        names = self._forward.follow(objects)
        self._name_stuff(names, objects.class_ids)
        new = np.flatnonzero(names[1:] == 0) + 1
        names[new] = np.arange(self._unused, self._unused + len(new))
        self._unused += len(new)
        self._forward.close(objects, names)
        self._spans.append(objects.spans)
        self._classes.append(objects.class_ids)
        self._names.append(names)
        self._heights.append(confidence)
        return names

    def _name_stuff(self, names: Integers, class_ids: npt.NDArray[np.uint8]) -> None:
        for class_id in np.unique(class_ids[1:]):
            if class_id not in self._things:
                if class_id not in self._stuff:
                    self._stuff[class_id] = self._unused
                    self._unused += 1
                names[class_ids == class_id] = self._stuff[class_id]

    def finish(self, on_slice: OnSlice) -> Tracks:
        """Goes back through the slices, and calls `on_slice` after each."""
        sums, backward = _Sums(self._unused), Chain()
        file = SpanFile(self._workspace.spool(f"tracks-{self._name}", SpanFile.dtype))
        for index in reversed(range(len(self._spans))):
            objects = SliceObjects(self._spans.read(index), self._classes.read(index))
            joined, member, names = in_one(objects, self._names.read(index))
            taken = backward.follow(joined)
            names = np.where(taken > 0, taken, names)
            backward.close(joined, names)
            sums.add(objects, names[member], self._heights.read(index))
            file.append(objects.spans.renamed(names[member]))
            on_slice()
        for spool in (self._spans.spool, self._classes, self._names, self._heights):
            self._workspace.remove(spool)
        return sums.tracks(file)


class _Sums:
    """Sums over the pieces of each name."""

    def __init__(self, names: int) -> None:
        self._area = np.zeros(names, np.int64)
        self._heights = np.zeros(names, np.float64)
        self._weights = np.zeros(names, np.int64)  # pixels of pieces that have a centre
        self._classes = np.zeros(names, np.uint8)

    def add(self, objects: SliceObjects, names: Integers, heights: npt.NDArray[np.float32]) -> None:
        areas = objects.spans.areas(objects.count)
        centred = np.isfinite(heights)
        np.add.at(self._area, names, areas)
        np.add.at(self._heights, names[centred], areas[centred] * heights[centred].astype(np.float64))
        np.add.at(self._weights, names[centred], areas[centred])
        self._classes[names] = objects.class_ids

    def tracks(self, file: SpanFile) -> Tracks:
        used = np.flatnonzero(self._area)
        used = used[np.argsort(self._classes[used], kind="stable")]
        names = np.zeros(len(self._area), np.uint32)
        names[used] = np.arange(1, len(used) + 1)
        weights = self._weights[used]
        mean = np.where(weights > 0, self._heights[used] / np.maximum(weights, 1), np.nan)
        return Tracks(
            file, names, np.append(np.uint8(0), self._classes[used]), np.append(np.float64(np.nan), mean)
        )
