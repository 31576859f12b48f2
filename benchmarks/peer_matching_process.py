"""Runs the peer's matching on a stack: `python peer_matching_process.py FOLDER`, in its environment.

Reads stack.npy (slices of labels), and prints processor seconds of each step and how many objects it found,
as JSON.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import cc3d  # noqa: F401 - the peer's faster way to connect, which it takes where this is loaded
import numpy as np
from empanada.inference import matcher, rle, tracker  # type: ignore[import-not-found]

_DIVISOR = 1 << 20  # more than there are objects
_CLASS = 1


def main(folder: Path) -> None:
    stack = np.load(folder / "stack.npy").astype(np.int64)
    stack[stack > 0] += _DIVISOR
    _match(stack[:2])  # compiles what is compiled at the first call
    sys.stdout.write(json.dumps(_match(stack)) + "\n")


def _match(stack: Any) -> dict[str, float]:  # the peer has no types
    laps = [time.process_time()]
    slices = [rle.pan_seg_to_rle_seg(each, [_CLASS], _DIVISOR, [_CLASS])[_CLASS] for each in stack]
    laps.append(time.process_time())
    forward = matcher.RLEMatcher(_CLASS, _DIVISOR)
    forward.initialize_target(slices[0])
    matched = [slices[0], *(forward(each) for each in slices[1:])]
    laps.append(time.process_time())
    backward = matcher.RLEMatcher(_CLASS, _DIVISOR, assign_new=False)
    backward.initialize_target(matched[-1])
    tracks = tracker.InstanceTracker(_CLASS, _DIVISOR, stack.shape, "xy")
    tracks.update(matched[-1], len(matched) - 1)
    for index in reversed(range(len(matched) - 1)):
        tracks.update(backward(matched[index]), index)
    tracks.finish()
    laps.append(time.process_time())
    runs_s, forward_s, backward_s = np.diff(laps) / len(stack)
    return {
        "runs_s": runs_s,
        "forward_s": forward_s,
        "backward_s": backward_s,
        "objects": len(tracks.instances),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
