"""Grouped slices: what the network said of a slice becomes its objects."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from workers.images.sheet import Sheet
from workers.inference.merge import Classes, Kinds, Labels, Merged, band_rows, harden, merge, merge_semantic
from workers.inference.rows import Workspace, bands
from workers.inference.volume.matching import SliceObjects
from workers.inference.volume.record import SliceRecord
from workers.inference.volume.spans import Spans, find_spans, join_spans


@dataclass(frozen=True)
class Grouped:
    """A slice's label map, and the heat map's height at the centres of its objects."""

    labels: Merged
    heights: npt.NDArray[np.float32]
    """(K + 1,) of each centre."""

    def objects(self, min_size: int = 0) -> tuple[SliceObjects, npt.NDArray[np.float32]]:
        """The objects of at least `min_size` pixels, and the confidence (k + 1,) of each; NaN where it has no
        centre."""
        objects = SliceObjects(spans_of(self.labels), self.labels.class_ids)
        heights = self.heights[self.labels.centre_ids]
        heights[self.labels.centre_ids == 0] = np.nan
        if min_size == 0:
            return objects, heights
        kept = objects.spans.areas(objects.count) >= min_size
        kept[0] = True
        return objects.only(kept), heights[kept]


@dataclass(frozen=True)
class Grouper:
    """Makes objects of slices (H, W), one after the other."""

    shape: tuple[int, int]
    things: frozenset[int]
    """Classes that have instances; none where only classes are wanted."""
    workspace: Workspace

    def group(self, record: SliceRecord, scale: int) -> Grouped:
        """`record` has `scale` pixels per point of its grid. What was grouped before is gone then."""
        classes = self._classes(record)
        if not self.things:
            return Grouped(merge_semantic(classes, self.workspace), record.heights)

        def centres_of(y0: int, band: Classes) -> Labels:
            rows = record.cells[y0 // scale : -(-(y0 + len(band)) // scale)]
            return rows.repeat(scale, axis=0).repeat(scale, axis=1)[: band.shape[0], : band.shape[1]]

        merged = merge(classes, centres_of, Kinds(self.things), self.workspace, scale)
        return Grouped(merged, record.heights)

    def _classes(self, record: SliceRecord) -> Sheet:
        height, width = self.shape
        sheet = self.workspace.sheet("classes", self.shape, np.uint8)
        for y0, y1 in bands(height, band_rows(width)):
            if record.has_bits:
                sheet.write(y0, np.unpackbits(record.evidence[y0:y1], axis=1, count=width))
            else:
                sheet.write(y0, harden(record.evidence[:, y0:y1], 0))
        return sheet


def spans_of(merged: Merged) -> Spans:
    """The spans of a label map, read by bands."""
    height, width = merged.shape
    parts = []
    for y0, y1 in bands(height, band_rows(width)):
        found = find_spans(merged.read(y0, y1))
        parts.append(Spans(found.owner, found.begin + y0 * width, found.end + y0 * width))
    return join_spans(parts)
