"""Slices by themselves: each is segmented and measured as an image."""

import re

import numpy as np

from workers.inference.holes import fill_holes
from workers.inference.measure import Column, ObjectTable, Scene, measure
from workers.inference.merge import Merged
from workers.inference.pipeline import drop_small
from workers.inference.rows import ArrayRows, Workspace
from workers.inference.volume.grouped import Grouped, Grouper, spans_of
from workers.inference.volume.plane import Plane
from workers.inference.volume.request import Request3D
from workers.inference.volume.span_volume import SpanFile
from workers.inference.volume.spans import Spans
from workers.inference.volume.tracking import OnSlice, Tracks
from workers.inference.volume.views import View

_AXIS_OF_COLUMN = re.compile(r"(?<=_)[yx](?=[01]?_)")


def segment_slices(
    view: View, request: Request3D, workspace: Workspace, on_slice: OnSlice
) -> tuple[Tracks, ObjectTable]:
    """The objects of each slice, and their measures as those of images, with the number of the slice.

    Labels go on from slice to slice; with classes only, the value of a pixel is its class in all of them.
    """
    plane = view.plane
    grouper = Grouper(plane.sides(request.source.shape), request.things, workspace)
    sheaf = _Sheaf(request, plane, SpanFile(workspace.spool("slices", SpanFile.dtype)))
    for record, scale in view.records():
        sheaf.add(grouper.group(record, scale))
        on_slice()
    return sheaf.tracks(), sheaf.table()


class _Sheaf:
    """Slices that were segmented, one upon the other."""

    def __init__(self, request: Request3D, plane: Plane, file: SpanFile) -> None:
        self._request, self._plane, self._file = request, plane, file
        self._tables: list[dict[str, Column]] = []
        self._last = 0  # label given

    def add(self, grouped: Grouped) -> None:
        request, index = self._request, len(self._file)
        labels, table = self._segmented(grouped, index)
        first = self._last if request.instances else 0
        spans = spans_of(labels)
        self._file.append(Spans(spans.owner + first, spans.begin, spans.end))
        label = table.columns["label"] + first
        self._tables.append({"label": label, "slice": np.full(len(table), index), **table.columns})
        self._tables[-1]["label"] = label
        self._last = max(self._last, first + labels.count)

    def _segmented(self, grouped: Grouped, index: int) -> tuple[Merged, ObjectTable]:
        request, params, labels = self._request, self._request.params, grouped.labels
        if params.fill_holes_in_segmentation:
            fill_holes(labels)
        image = ArrayRows(request.source.planes(self._plane.axis, index, index + 1)[0])
        size = self._plane.pixel_size(request.voxel_size_nm)
        table = measure(labels, Scene(image, size, request.card.class_names, grouped.heights))
        if (params.min_size or params.min_extent) and request.instances:
            return drop_small(labels, table, params)
        return labels, table

    def tracks(self) -> Tracks:
        """The label maps, each slice's objects as objects of their own."""
        n = self._last
        return Tracks(
            self._file,
            np.arange(n + 1, dtype=np.uint32),
            np.zeros(n + 1, np.uint8),
            np.full(n + 1, np.nan),
            backwards=False,
        )

    def table(self) -> ObjectTable:
        """All slices' rows, columns named by the volume's axes."""
        height, width = (axis for number, axis in enumerate("zyx") if number != self._plane.axis)
        names = {"y": height, "x": width}
        columns = {name: np.concatenate([each[name] for each in self._tables]) for name in self._tables[0]}
        return ObjectTable(
            {_AXIS_OF_COLUMN.sub(lambda at: names[at[0]], name): column for name, column in columns.items()}
        )
