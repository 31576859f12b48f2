"""Following objects from slice to slice, and the consensus of three stacks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import cc3d
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from benchmarks.clock import timed
from benchmarks.peer import Peer, PeerConsensus, PeerMatching
from benchmarks.table import Table, seconds, times
from workers.inference.rows import Workspace
from workers.inference.volume.clusters import Rule
from workers.inference.volume.consensus import agree
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.matching import SliceObjects
from workers.inference.volume.span_volume import SpanFile, SpanVolume
from workers.inference.volume.spans import find_spans
from workers.inference.volume.tracking import Tracker

Labels = npt.NDArray[np.uint32]

_THINGS = frozenset({1})
_GRAIN = (4.0, 10.0, 10.0)  # voxels; how coarse the foreground is
_REFERENCE_S, _WANTED = 0.13, 5
"""What the reference takes for a slice of 512 x 512 with 500 objects, as measured when ours was designed, and
how many times faster ours is meant to be."""


@dataclass(frozen=True)
class Matching:
    """Processor seconds per slice."""

    side: int
    objects: float
    """Per slice."""
    runs_s: float
    """From the label map to runs."""
    forward_s: float
    backward_s: float
    tracks: int
    """Objects of the stack."""
    peer: PeerMatching | None = None

    @property
    def total_s(self) -> float:
        return self.runs_s + self.forward_s + self.backward_s

    @property
    def beside(self) -> tuple[str, str, str]:
        """The peer's time, how many times ours it is, and whether it finds as many objects."""
        if self.peer is None:
            return ("not run", "", "")
        peer_s = self.peer.runs_s + self.peer.forward_s + self.peer.backward_s
        alike = "same" if self.peer.objects == self.tracks else "DIFFERS"
        return (f"{1000 * peer_s:.1f} ms", times(peer_s / self.total_s), alike)


@dataclass(frozen=True)
class Consensus:
    """Processor seconds of the consensus of three views of a cube."""

    side: int
    objects: int
    """In each view."""
    agreed: int
    consensus_s: float
    peer: PeerConsensus | None = None

    @property
    def beside(self) -> tuple[str, str, str]:
        """The peer's time, how many times ours it is, and how many objects it agrees on."""
        if self.peer is None:
            return ("not run", "", "")
        ratio = times(self.peer.consensus_s / self.consensus_s)
        return (seconds(self.peer.consensus_s), ratio, str(self.peer.objects))


def measure_matching(side: int, objects: int, slices: int, peer: Peer | None = None) -> Matching:
    """A stack of about so many objects in each slice."""
    stack = list(_stack(side, objects, slices))
    with TemporaryDirectory() as name, Workspace(Path(name)) as workspace:
        tracker = Tracker(workspace, "xy", _THINGS)
        spans, runs_s = timed(lambda: [find_spans(labels) for labels in stack])
        pieces = [
            SliceObjects(each, np.minimum(np.arange(labels.max() + 1), 1).astype(np.uint8))
            for each, labels in zip(spans, stack, strict=True)
        ]
        heights = [np.ones(each.count + 1, np.float32) for each in pieces]
        pairs = list(zip(pieces, heights, strict=True))
        _, forward_s = timed(lambda: [tracker.add(*pair) for pair in pairs])
        tracks, backward_s = timed(lambda: tracker.finish(lambda: None))
    mean = float(np.mean([each.count for each in pieces]))
    found = len(tracks.class_ids) - 1
    beside = None if peer is None else peer.match(np.stack(stack))
    return Matching(side, mean, runs_s / slices, forward_s / slices, backward_s / slices, found, beside)


def _stack(side: int, objects: int, slices: int) -> Iterator[Labels]:
    """Slices half of which is foreground, cut into cells that wander."""
    rng = np.random.default_rng(1)
    field = ndimage.gaussian_filter(
        rng.standard_normal((slices, side, side), np.float32), _GRAIN, mode="wrap"
    )
    places = rng.uniform(0, side, (objects, 2))
    pixels = np.argwhere(np.ones((side, side), np.bool_))
    for plane in field:
        places += rng.normal(0, 0.7, places.shape)
        cells = np.asarray(KDTree(places).query(pixels)[1]).reshape(side, side) + 1
        yield np.asarray(cc3d.connected_components(np.where(plane > 0, cells, 0), connectivity=8), np.uint32)


def measure_consensus(side: int, objects: int, peer: Peer | None = None) -> Consensus:
    """Three views of a cube with so many objects, each of which is a little different in each."""
    views = [_view(side, objects, number) for number in range(3)]
    with TemporaryDirectory() as name, Workspace(Path(name)) as workspace:
        stacks = [_labelled(view, workspace, str(number)) for number, view in enumerate(views)]
        found, consensus_s = timed(lambda: agree(stacks, Rule(2, 2, _THINGS), workspace, lambda: None))
    beside = None if peer is None else peer.agree(np.stack(views))
    return Consensus(side, stacks[0].count, found.count, consensus_s, beside)


def _view(side: int, objects: int, number: int) -> Labels:
    rng = np.random.default_rng(2)
    places = rng.uniform(0, side, (objects, 3))
    sizes = rng.uniform(0.25, 0.45, objects) * (side**3 / objects) ** (1 / 3)
    rng = np.random.default_rng(3 + number)
    tree = KDTree(places + rng.normal(0, 0.6, places.shape))
    view = np.zeros((side, side, side), np.uint32)
    for z in range(side):
        voxels = np.argwhere(np.ones((side, side), np.bool_))
        away, nearest = tree.query(np.column_stack([np.full(len(voxels), z), voxels]))
        inside = away < sizes[nearest] * rng.uniform(0.97, 1.03)
        view[z] = np.where(inside, np.asarray(nearest) + 1, 0).reshape(side, side)
    return _numbered_as_tracked(view)


def _numbered_as_tracked(view: Labels) -> Labels:
    """The same objects in the order in which a tracker meets them, which decides between equals."""
    first = np.full(int(view.max()) + 1, len(view))
    for z in reversed(range(len(view))):
        first[np.unique(view[z])] = z
    first[0] = -1
    number = np.empty(len(first), np.uint32)
    number[np.argsort(first, kind="stable")] = np.arange(len(first))
    return number[view]


def _labelled(view: Labels, workspace: Workspace, name: str) -> Labelled:
    file = SpanFile(workspace.spool(name, SpanFile.dtype))
    for plane in view:
        file.append(find_spans(plane))
    n = int(view.max())
    class_ids = np.minimum(np.arange(n + 1), 1).astype(np.uint8)
    depth, height, width = view.shape
    return Labelled(SpanVolume.of((depth, height, width), file, n), class_ids, np.ones(n + 1))


def matching_table(runs: tuple[Matching, ...]) -> Table:
    rows = tuple(
        (
            f"{run.side} x {run.side}",
            f"{run.objects:.0f}",
            *(f"{1000 * each:.1f} ms" for each in (run.runs_s, run.forward_s, run.backward_s, run.total_s)),
            *run.beside,
        )
        for run in runs
    )
    head = ("slice", "objects", "runs", "forward", "back", "all", "peer", "ratio", "")
    aim = f"{1000 * _REFERENCE_S / _WANTED:.0f} ms"
    note = f"Per slice, processor time, one thread. Aim: {aim} at 512 x 512 with 500 objects."
    return Table("Matching from slice to slice", head, rows, note)


def consensus_table(runs: tuple[Consensus, ...]) -> Table:
    rows = tuple(
        (
            f"{run.side} x {run.side} x {run.side}",
            str(run.objects),
            str(run.agreed),
            seconds(run.consensus_s),
            *run.beside,
        )
        for run in runs
    )
    head = ("cube", "objects in each", "agreed", "all", "peer", "ratio", "agreed")
    note = "Processor time, one thread; from the runs of tracked objects to those of agreed ones."
    return Table("Consensus of three views", head, rows, note)
