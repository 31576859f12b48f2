"""Stacks of growing depth: memory, seconds per slice, and the estimate of the time that is left."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.table import Table

_ROOT = Path(__file__).parents[1]
_LONGEST_SECONDS = 4 * 3600
_ALLOWED_BYTES = 100_000_000
_ALLOWED_ETA = 0.25


@dataclass(frozen=True)
class Stack:
    """What one stack with the starter model took."""

    slices: int
    side: int
    idle_bytes: int
    """With the model loaded, before the volume."""
    peak_bytes: int
    ledger_bytes: int
    scratch_bytes: int
    """What is left of the workspace at the end."""
    objects: int
    seconds: dict[str, float]
    """Processor seconds by stage."""
    eta_error: float
    """Of the estimate after a tenth of the slices, as a share of what was left."""

    @property
    def row(self) -> tuple[str, ...]:
        each = (1000 * self.seconds.get(stage, 0.0) / self.slices for stage in _STAGES)
        return (
            f"{self.slices} x {self.side} x {self.side}",
            _megabytes(self.idle_bytes),
            _megabytes(self.peak_bytes),
            _megabytes(self.ledger_bytes),
            _megabytes(self.scratch_bytes),
            str(self.objects),
            *(f"{value:.1f} ms" for value in each),
            f"{self.eta_error:+.0%}",
        )


_STAGES = ("infer", "group", "track", "write")


def measure_stack(slices: int, side: int, folder: Path) -> Stack:
    """Segments a phantom of so many slices in a fresh process; its files lie in `folder` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name:
        place = str(Path(name).absolute())
        command = [sys.executable, "-m", "benchmarks.volume_process", place, *map(str, (slices, side, side))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        done = subprocess.run(
            command,
            cwd=_ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_LONGEST_SECONDS,
        )
    return Stack(slices, side, **json.loads(done.stdout.splitlines()[-1]))


def table(stacks: tuple[Stack, ...]) -> Table:
    growth = stacks[-1].peak_bytes - stacks[0].peak_bytes
    within = "within" if growth <= _ALLOWED_BYTES else "MORE THAN"
    right = "within" if all(abs(each.eta_error) <= _ALLOWED_ETA for each in stacks) else "NOT WITHIN"
    note = (
        f"The deepest takes {_megabytes(growth)} more than the shallowest, {within} 100 MB. The time left is "
        f"known after a tenth of the slices {right} 25 %. fp32, one thread; processor time per slice."
    )
    head = ("stack", "model loaded", "peak", "ledger", "scratch", "objects", *_STAGES, "ETA")
    return Table("Stacks", head, tuple(each.row for each in stacks), note)


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB"
