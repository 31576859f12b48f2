"""A volume that is larger than the memory which its worker may take, by the whole service."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import tifffile

from benchmarks.repeated_volume import VOXEL_NM, RepeatedVolume
from benchmarks.resident import peak_bytes
from benchmarks.surroundings import AS_IN_SERVICE
from benchmarks.table import Table, seconds
from emserve.client import Client
from emserve.jobs import JobStatus
from emserve.parts import Lifeline, Part, RunningPart
from emserve.running import RunningRecord
from workers.inference.volume.source import Greys

_BUDGET_BYTES = 768 * 1024**2
"""Of the worker, network and libraries included; it is killed, and the job fails, when it takes more."""
_DOWNSAMPLING = 8
"""Each pixel of a phantom is repeated so often each way: much is stored and read, little computed."""
_START_SECONDS, _STOP_SECONDS, _LONGEST_SECONDS = 120, 45, 3600


@dataclass(frozen=True)
class Beyond:
    """What one volume took."""

    slices: int
    side: int
    budget_bytes: int
    worker_bytes: int
    """Largest resident size of the process that segmented it."""
    api_bytes: int
    """The same of the process that took the file."""
    objects: int
    wall_s: float

    @property
    def voxel_bytes(self) -> int:
        return self.slices * self.side**2


def measure_beyond(slices: int, side: int, folder: Path) -> Beyond:
    """Sends a volume to `emserve up` with one worker; all files lie in `folder` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name:
        place = Path(name).absolute()
        _write_volume(place / "volume.tif", slices, side)
        with _service(place / "data") as service, Client(service.url) as client:
            begun = time.monotonic()
            voxel_nm = (VOXEL_NM[0], *(length / _DOWNSAMPLING for length in VOXEL_NM[1:]))
            params = {"mode": "stack", "downsampling": _DOWNSAMPLING, "pixel_size_nm": voxel_nm}
            job_id = client.submit(place / "volume.tif", "mitonet@starter", params).id
            job = client.wait(job_id, _LONGEST_SECONDS)
            if job.status is not JobStatus.SUCCEEDED or job.result is None:
                raise RuntimeError(f"a volume of {slices} x {side} x {side} failed: {job.error}")
            return Beyond(
                slices,
                side,
                _BUDGET_BYTES,
                peak_bytes(_child(service.parts["worker-cpu-1"])),
                peak_bytes(service.parts["api"]),
                job.result.objects,
                time.monotonic() - begun,
            )


def _write_volume(path: Path, slices: int, side: int) -> None:
    phantom = RepeatedVolume((slices, side // _DOWNSAMPLING, side // _DOWNSAMPLING))

    def planes() -> Iterator[Greys]:
        for z in range(slices):
            (plane,) = phantom.planes(0, z, z + 1)
            yield plane.repeat(_DOWNSAMPLING, axis=0).repeat(_DOWNSAMPLING, axis=1)

    shape = (slices, side, side)
    tifffile.imwrite(
        path, planes(), shape=shape, dtype=np.uint8, compression="zlib", photometric="minisblack"
    )


@contextmanager
def _service(data_dir: Path) -> Iterator[RunningRecord]:
    """`emserve up` with one worker that may take `_BUDGET_BYTES`, ready for jobs."""
    command = (sys.executable, "-m", "emserve.cli", "up", "--port", "0", "--data-dir", str(data_dir))
    settings = {
        "EMSERVE_DEVICE": "cpu",
        "EMSERVE_THREADS": "1",
        "EMSERVE_WARM_MODELS": '["mitonet@starter"]',
        "EMSERVE_WORKER_MEMORY_BYTES": str(_BUDGET_BYTES),
    }
    data_dir.mkdir()
    lifeline = Lifeline()
    service = RunningPart(
        Part("up", command, {**os.environ, **AS_IN_SERVICE, **settings}, data_dir), lifeline
    )
    try:
        yield _ready(service, data_dir)
    finally:
        service.stop(_STOP_SECONDS)
        lifeline.close()


def _ready(service: RunningPart, data_dir: Path) -> RunningRecord:
    deadline = time.monotonic() + _START_SECONDS
    while service.is_alive and time.monotonic() < deadline:
        record = RunningRecord.read(data_dir)
        if record is not None:
            return record
        time.sleep(0.1)
    raise RuntimeError(f"the service did not start:\n{service.last_words(lines=20)}")


def _child(worker: int) -> int:
    """The process that segments for a worker."""
    children = psutil.Process(worker).children()
    return next(each.pid for each in children if "workers.child" in each.cmdline())


def table(runs: tuple[Beyond, ...]) -> Table:
    rows = tuple(
        (
            f"{run.slices} x {run.side} x {run.side}",
            *(
                f"{each / 1e6:.0f} MB"
                for each in (run.voxel_bytes, run.budget_bytes, run.worker_bytes, run.api_bytes)
            ),
            str(run.objects),
            seconds(run.wall_s),
        )
        for run in runs
    )
    note = (
        f"By `emserve up` with the starter model at 1/{_DOWNSAMPLING}; each pixel of a phantom is repeated "
        f"{_DOWNSAMPLING} times each way: the time says nothing of real volumes. A worker over its budget "
        "would be killed, and the job would fail."
    )
    head = ("volume", "voxels", "budget", "worker", "API", "objects", "wall")
    return Table("A volume larger than its worker's memory", head, rows, note)
