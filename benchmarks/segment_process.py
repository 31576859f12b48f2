"""Segments an image of a .npy file and prints what memory and time it took.

`python -m benchmarks.segment_process IMAGE.npy TILE`, with JSON on the last line: so that what is measured
is one image in a fresh process and nothing else.
"""

import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.resident import peak_bytes
from benchmarks.starter import starter_card, starter_engine
from emserve.params import Parameters
from workers.inference.pipeline import Request2D, segment
from workers.inference.rows import Workspace


def main(path: Path, tile: str) -> None:
    torch.set_num_threads(1)
    card, engine = starter_card(), starter_engine()
    idle = peak_bytes()
    with TemporaryDirectory(dir=path.parent) as folder, Workspace(Path(folder)) as workspace:
        image = workspace.open_npy(path)
        request = Request2D(
            image, None, Parameters(downsampling=1, tile_size="auto" if tile == "auto" else int(tile)), card
        )
        found = segment(request, engine, workspace, lambda *_: None)
    report = {
        "idle_bytes": idle,
        "peak_bytes": peak_bytes(),
        "objects": len(found.objects),
        "cpu_s": time.process_time(),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
