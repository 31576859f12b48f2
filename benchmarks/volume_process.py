"""Segments a phantom volume and prints what memory and time it took.

`python -m benchmarks.volume_process FOLDER Z Y X`, with JSON on the last line: so that what is measured is
one volume in a fresh process and nothing else. The ledger is a folder, as a storage's is.
"""

import json
import math
import sys
import time
from hashlib import sha256
from pathlib import Path

import torch

from benchmarks.repeated_volume import VOXEL_NM, RepeatedVolume
from benchmarks.resident import peak_bytes
from benchmarks.starter import starter_card, starter_engine
from emserve.jobs import Stage
from emserve.params import Parameters
from workers.forecast import Forecast
from workers.inference.rows import Workspace
from workers.inference.volume.pipeline import segment_volume
from workers.inference.volume.request import Request3D


class FolderLedger:
    """Entries as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, key: str) -> Path:
        return self._folder / sha256(key.encode()).hexdigest()

    def load(self, key: str) -> bytes | None:
        path = self._path(key)
        return path.read_bytes() if path.exists() else None

    def save(self, key: str, entry: bytes) -> None:
        self._path(key).write_bytes(entry)


class Clock:
    """Processor seconds by stage, and the service's estimate of the rest after a tenth of the slices."""

    def __init__(self, voxels: int) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()
        self._stage: Stage | None = None
        self._forecast = Forecast.of_volume(self._last, voxels, 1)
        self._told: tuple[float, float] | None = None  # when, and how many seconds were left

    def __call__(self, stage: Stage, done: int, total: int, _unit: str) -> None:
        self.lap(stage)
        _, eta_seconds = self._forecast.see(stage, done, total, self._last)
        if self._told is None and stage is Stage.INFER and done >= total / 10 and eta_seconds is not None:
            self._told = self._last, eta_seconds

    def lap(self, stage: Stage | None) -> None:
        """What has passed since the last call belongs to the stage that it named."""
        now = time.process_time()
        if self._stage is not None:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._last
        self._last, self._stage = now, stage

    @property
    def eta_error(self) -> float:
        """How far off the estimate was, as a share of what was left."""
        if self._told is None:
            return math.nan
        then, estimated = self._told
        left = self._last - then
        return (estimated - left) / left


def main(folder: Path, shape: tuple[int, int, int]) -> None:
    torch.set_num_threads(1)
    card, engine, volume = starter_card(), starter_engine(), RepeatedVolume(shape)
    volume.planes(0, 0, 1)
    idle, clock = peak_bytes(), Clock(math.prod(shape))
    (folder / "ledger").mkdir()
    with Workspace(folder) as workspace:
        params = card.stack_parameters(Parameters(mode="stack"), shape)
        request = Request3D(volume, VOXEL_NM, params, card, "")
        found = segment_volume(request, engine, workspace, FolderLedger(folder / "ledger"), clock)
        for z in range(shape[0]):
            clock(Stage.WRITE, z, shape[0], "slices")
            found.labels.read(z, z + 1)
        clock.lap(None)
        scratch = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    report = {
        "idle_bytes": idle,
        "peak_bytes": peak_bytes(),
        "ledger_bytes": sum(path.stat().st_size for path in (folder / "ledger").iterdir()),
        "scratch_bytes": scratch,
        "objects": len(found.objects),
        "seconds": clock.seconds,
        "eta_error": clock.eta_error,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), (int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
