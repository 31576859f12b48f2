"""Runs the peer's consensus of three stacks: `python peer_consensus_process.py FOLDER`, in its environment.

Reads views.npy (three volumes of labels), and prints processor seconds and how many objects were agreed on,
as JSON. Tracking is not measured: each view becomes the runs that its tracker holds in the end.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from empanada import consensus  # type: ignore[import-not-found]
from empanada.inference import rle, tracker  # type: ignore[import-not-found]

_DIVISOR = 1 << 20  # more than there are objects
_CLASS = 1
_VOTES = 2
_WARM_SIDE = 16


def main(folder: Path) -> None:
    views = np.load(folder / "views.npy").astype(np.int64)
    views[views > 0] += _DIVISOR
    _agree(views[:, :_WARM_SIDE])  # compiles what is compiled at the first call
    sys.stdout.write(json.dumps(_agree(views)) + "\n")


def _agree(views: Any) -> dict[str, float]:  # the peer has no types
    trackers = [_tracked(view) for view in views]
    begun = time.process_time()
    agreed = consensus.merge_objects_from_trackers(trackers, pixel_vote_thr=_VOTES)
    return {"consensus_s": time.process_time() - begun, "objects": len(agreed)}


def _tracked(view: Any) -> Any:
    tracks = tracker.InstanceTracker(_CLASS, _DIVISOR, view.shape, "xy")
    for z, plane in enumerate(view):
        # Labels are those of the volume, so no slice is connected anew.
        runs = rle.pan_seg_to_rle_seg(plane, [_CLASS], _DIVISOR, [_CLASS], force_connected=False)
        tracks.update(runs[_CLASS], z)
    tracks.finish()
    return tracks


if __name__ == "__main__":
    main(Path(sys.argv[1]))
