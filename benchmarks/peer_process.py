"""Runs the peer's functions on a folder's arrays: `python peer_process.py FOLDER MOST`, in its environment.

Reads classes.npy, heat.npy and offsets.npy, writes labels.npy, and prints the number of centres and processor
seconds as JSON. Only the first MOST centres are gone on with.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import cc3d  # noqa: F401 - the peer's faster way to connect, which it takes where this is loaded
import numpy as np
import torch
from empanada.inference import postprocess, rle  # type: ignore[import-not-found]

_DIVISOR = 1 << 20  # more than there are objects
_SMALLEST_STUFF = 64
_STEP = 4  # pixels per grid point
_THRESHOLD, _WINDOW = 0.1, 3


def main(folder: Path, most: int) -> None:
    torch.set_num_threads(1)
    classes = torch.from_numpy(np.load(folder / "classes.npy").astype(np.int64))[None]  # (1, H, W)
    heat = torch.from_numpy(np.load(folder / "heat.npy"))[None, None]  # (1, 1, h, w)
    offsets = torch.from_numpy(np.load(folder / "offsets.npy"))[None]  # (1, 2, h, w)
    measured: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Any]) -> Any:  # the peer has no types
        before = time.process_time()
        result = work()
        measured[step] = time.process_time() - before
        return result

    centres = timed("centres_s", lambda: postprocess.find_instance_center(heat, _THRESHOLD, _WINDOW))
    measured["found"] = len(centres)
    centres = centres[:most]
    cells = timed("grouping_s", lambda: postprocess.group_pixels(centres, offsets, step=_STEP))
    fine = cells.repeat_interleave(_STEP, dim=1).repeat_interleave(_STEP, dim=2).long()
    fine[classes == 0] = 0
    merged = timed(
        "merging_s",
        lambda: postprocess.merge_semantic_and_instance(classes, fine, _DIVISOR, [1], _SMALLEST_STUFF, 0),
    )
    objects = merged[0].numpy()
    objects[objects < _DIVISOR] = 0
    objects = objects.astype(np.int32)
    rle.connected_components(objects[:64, :64])  # whatever is set up at the first call
    labels = timed("connecting_s", lambda: rle.connected_components(objects))
    np.save(folder / "labels.npy", np.asarray(labels, np.int64))
    sys.stdout.write(json.dumps(measured) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
