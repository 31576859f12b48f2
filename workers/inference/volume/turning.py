"""Turning: spans of xz or yz slices become spans of xy slices."""

from collections.abc import Iterator

import numpy as np

from workers.inference.rows import Workspace, bands
from workers.inference.runs import find_runs
from workers.inference.volume.plane import Plane, Shape
from workers.inference.volume.span_volume import SpanFile, SpanVolume
from workers.inference.volume.spans import Labels, Spans, join_spans, paint
from workers.inference.volume.tracking import OnSlice, Tracks

_TOGETHER = 32  # slices that are turned at once
_BLOCK_VOXELS = 1 << 21


def upright(
    tracks: Tracks, plane: Plane, shape: Shape, workspace: Workspace, on_slice: OnSlice
) -> SpanVolume:
    """The tracks of a stack along `plane` as a volume (Z, Y, X); calls `on_slice` after each of its slices.

    A run ends where its row ends, whatever the plane.
    """
    if plane.axis == 0:
        return SpanVolume(shape, tracks.file, tracks.backwards, tracks.names)
    turn = _Turn(tracks, plane, shape, workspace)
    file = SpanFile(workspace.spool(f"upright-{plane.name}", SpanFile.dtype))
    turn.cut(on_slice)
    for spans in turn.slices():
        file.append(spans)
    workspace.remove(turn.blocks.spool)
    workspace.remove(tracks.file.spool)
    return SpanVolume.of(shape, file, len(tracks.class_ids) - 1)


class _Turn:
    """Blocks of a few slices of the plane by a few xy slices, written in one order, read in the other."""

    def __init__(self, tracks: Tracks, plane: Plane, shape: Shape, workspace: Workspace) -> None:
        self._tracks, self._plane, self._shape = tracks, plane, shape
        width = plane.sides(shape)[1]
        thickness = max(1, _BLOCK_VOXELS // (_TOGETHER * width))
        self._groups = bands(plane.slices(shape), _TOGETHER)
        self._slabs = bands(shape[0], thickness)
        self.blocks = SpanFile(workspace.spool("blocks", SpanFile.dtype))

    def cut(self, on_slice: OnSlice) -> None:
        """Writes the blocks, group by group of slices."""
        for begin, end in self._groups:
            slices = [self._tracks.slice(index) for index in range(begin, end)]
            for slab in self._slabs:
                self.blocks.append(self._block(slices, begin, slab))
            for _ in slices:
                on_slice()

    def slices(self) -> Iterator[Spans]:
        """The spans of each xy slice, in order."""
        area = self._shape[1] * self._shape[2]
        for number, (z0, z1) in enumerate(self._slabs):
            indices = range(number, len(self._groups) * len(self._slabs), len(self._slabs))
            parts = join_spans([self.blocks.read(index) for index in indices])
            order = np.argsort(parts.begin)
            slab = _mended(Spans(parts.owner[order], parts.begin[order], parts.end[order]), self._shape[2])
            edges = np.searchsorted(slab.begin, area * np.arange(z0, z1 + 1))
            for z, first, last in zip(range(z0, z1), edges[:-1], edges[1:], strict=True):
                yield Spans(
                    slab.owner[first:last], slab.begin[first:last] - z * area, slab.end[first:last] - z * area
                )

    def _block(self, slices: list[Spans], first: int, slab: tuple[int, int]) -> Spans:
        """Spans along x of a block, with begin = (z * Y + y) * X + x; `first` is the first slice's place."""
        z0, z1 = slab
        width = self._plane.sides(self._shape)[1]
        block = np.empty((len(slices), z1 - z0, width), np.uint32)
        for number, spans in enumerate(slices):
            block[number] = paint(_part(spans, z0 * width, z1 * width), (z1 - z0, width))
        if self._plane.axis == 1:  # (y, z, x)
            return self._found(block.transpose(1, 0, 2), (z0, first, 0))
        return self._found(block.transpose(1, 2, 0), (z0, 0, first))  # (x, z, y)

    def _found(self, block: Labels, origin: tuple[int, int, int]) -> Spans:
        _, rows, columns = block.shape
        runs = find_runs(np.ascontiguousarray(block).reshape(-1, columns), 0)
        z, y = np.divmod(runs.y, rows)
        row = (z + origin[0]) * self._shape[1] + y + origin[1]
        begin = row * self._shape[2] + runs.x0 + origin[2]
        return Spans(runs.label, begin, begin + runs.length)


def _part(spans: Spans, begin: int, end: int) -> Spans:
    """The spans from one position to another, between which none crosses; positions count from `begin`."""
    first, last = np.searchsorted(spans.begin, (begin, end))
    return Spans(spans.owner[first:last], spans.begin[first:last] - begin, spans.end[first:last] - begin)


def _mended(spans: Spans, width: int) -> Spans:
    """Spans that a block's border cut in two become one again, but not across the end of a row."""
    if len(spans) == 0:
        return spans
    goes_on = (
        (spans.begin[1:] == spans.end[:-1])
        & (spans.owner[1:] == spans.owner[:-1])
        & (spans.begin[1:] % width > 0)
    )
    firsts = np.append(True, ~goes_on)
    lasts = np.append(~goes_on, True)
    return Spans(spans.owner[firsts], spans.begin[firsts], spans.end[lasts])
