"""Grouping, merging and connecting: ours beside the peer's, on the same maps."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from benchmarks.clock import fastest
from benchmarks.peer import Peer, PeerRun
from benchmarks.scenes import Scene, lay_out, make_scene
from benchmarks.starter import starter_card
from benchmarks.table import Table, seconds, times
from emserve.params import Parameters
from workers.inference.pipeline import find_objects
from workers.inference.rows import Workspace

Labels = npt.NDArray[np.int64]

_REPEATS = 5
_VERDICTS = {True: "same objects", False: "OBJECTS DIFFER", None: "peer: 500 centres, scaled up"}


@dataclass(frozen=True)
class PostProcessing:
    """Processor seconds on one thread; the peer's are None where it is not there."""

    side: int
    centres: int
    objects: int
    ours_s: float
    """Centres, grouping, merging and connecting, from files to a file."""
    peer_centres_s: float | None = None
    peer_grouping_s: float | None = None
    peer_merging_s: float | None = None
    peer_connecting_s: float | None = None
    peer_s: float | None = None
    """Sum of its four steps, in memory."""
    ratio: float | None = None
    agree: bool | None = None
    """Whether both give the same objects, pixel by pixel; None if the peer got a part of the centres."""

    @property
    def row(self) -> tuple[str, ...]:
        what = (f"{self.side} x {self.side}", str(self.centres), str(self.objects), seconds(self.ours_s))
        if self.peer_s is None or self.ratio is None:
            return (*what, *(["not run"] * 4), "", "")
        steps = (self.peer_grouping_s or 0, self.peer_merging_s or 0, self.peer_connecting_s or 0)
        return (
            *what,
            *(seconds(step) for step in steps),
            seconds(self.peer_s),
            times(self.ratio),
            _VERDICTS[self.agree],
        )


def compare(side: int, centres: int, peer: Peer | None) -> PostProcessing:
    """Both on one scene; the peer runs once, ours five times, of which the fastest counts."""
    scene = make_scene(side, centres)
    ours_s, labels = _ours(scene)
    ours = PostProcessing(side, centres, int(labels.max(initial=0)), ours_s)
    return ours if peer is None else _beside(ours, labels, peer.segment(scene))


def _beside(ours: PostProcessing, labels: Labels, theirs: PeerRun) -> PostProcessing:
    total = theirs.centres_s + theirs.grouping_s + theirs.merging_s + theirs.connecting_s
    return PostProcessing(
        ours.side,
        ours.centres,
        ours.objects,
        ours.ours_s,
        peer_centres_s=theirs.centres_s,
        peer_grouping_s=theirs.grouping_s,
        peer_merging_s=theirs.merging_s,
        peer_connecting_s=theirs.connecting_s,
        peer_s=total,
        ratio=total / ours.ours_s,
        agree=None if theirs.labels is None else same_objects(labels, theirs.labels),
    )


def _ours(scene: Scene) -> tuple[float, Labels]:
    params, card = Parameters(downsampling=1), starter_card()
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        maps = lay_out(scene, workspace)
        spent = fastest(lambda: find_objects(maps, params, card, workspace), _REPEATS)
        labels, _ = find_objects(maps, params, card, workspace)
        return spent, labels.read(0, len(scene.classes)).astype(np.int64)


def same_objects(first: Labels, second: Labels) -> bool:
    """Whether two label maps are one division of the pixels, whatever its labels are called."""
    pairs = np.unique(first * (int(second.max(initial=0)) + 1) + second)
    return len(pairs) == len(np.unique(first)) == len(np.unique(second)) and bool(
        np.array_equal(first == 0, second == 0)
    )


def table(runs: tuple[PostProcessing, ...], missing: str) -> Table:
    head = ("image", "centres", "objects", "ours", "peer: group", "merge", "connect", "all", "ratio", "")
    note = missing or "Ours: all steps together, files included. Processor time, one thread."
    return Table("Grouping, merging, connecting", head, tuple(run.row for run in runs), note)
