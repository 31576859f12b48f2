"""Volumes, ledgers and stacks of label maps as the volume's inference takes them."""

from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from training.stacks import HeldLedger
from workers.inference.rows import Workspace
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.matching import SliceObjects
from workers.inference.volume.plane import XY, Plane
from workers.inference.volume.span_volume import SpanFile, SpanVolume
from workers.inference.volume.spans import find_spans
from workers.inference.volume.tracking import Tracker
from workers.inference.volume.turning import upright

Volume = NDArray[Any]


class MemoryLedger(HeldLedger):
    """Entries in memory, and the keys in the order in which they were saved."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[str] = []

    def save(self, key: str, entry: bytes) -> None:
        super().save(key, entry)
        self.saved.append(key)


def labelled(labels: Volume, workspace: Workspace, name: str = "given") -> Labelled:
    """A label map (Z, Y, X) as objects of class 1."""
    file = SpanFile(workspace.spool(name, SpanFile.dtype))
    for plane in labels:
        file.append(find_spans(plane.astype(np.uint32)))
    depth, height, width = labels.shape
    n = int(labels.max())
    volume = SpanVolume.of((depth, height, width), file, n)
    class_ids = np.minimum(np.arange(n + 1), 1).astype(np.uint8)
    return Labelled(volume, class_ids, np.where(class_ids > 0, 0.5, np.nan))


def everything(found: Labelled) -> Volume:
    return found.volume.read(0, found.volume.shape[0])


def pieces(labels: Volume, classes: Volume) -> SliceObjects:
    """The 8-connected components of a slice, by class, then by first pixel."""
    parts = cc3d.connected_components(labels.astype(np.uint32), connectivity=8)
    class_ids = np.zeros(int(parts.max()) + 1, np.uint8)
    class_ids[parts.ravel()] = classes.ravel()
    class_ids[0] = 0
    order = np.argsort(class_ids, kind="stable")
    rank = np.empty(len(order), np.uint32)
    rank[order] = np.arange(len(order))
    return SliceObjects(find_spans(rank[parts]), class_ids[order])


def tracked(
    labels: Volume, classes: Volume, things: frozenset[int], workspace: Workspace, plane: Plane = XY
) -> tuple[Volume, Labelled]:
    """A stack's label maps, matched forward, and what the tracker makes of them in the end."""
    tracker, forward = Tracker(workspace, plane.name, things), []
    along = (np.moveaxis(each, plane.axis, 0) for each in (labels, classes))
    for slice_labels, slice_classes in zip(*along, strict=True):
        objects = pieces(slice_labels, slice_classes)
        names = tracker.add(objects, np.ones(objects.count + 1, np.float32))
        matched = np.zeros(slice_labels.size, np.int64)
        for owner, begin, end in zip(
            *(getattr(objects.spans, key) for key in ("owner", "begin", "end")), strict=True
        ):
            matched[begin:end] = names[owner]
        forward.append(matched.reshape(slice_labels.shape))
    tracks = tracker.finish(lambda: None)
    depth, height, width = labels.shape
    volume = upright(tracks, plane, (depth, height, width), workspace, lambda: None)
    return np.moveaxis(np.stack(forward), 0, plane.axis), Labelled(
        volume, tracks.class_ids, tracks.confidence
    )
