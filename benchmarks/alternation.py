"""Whether memory stays what it is while models come and go."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.table import Table, seconds

_ROOT = Path(__file__).parents[1]
_LONGEST_SECONDS = 4 * 3600
_WINDOW = 30  # jobs; ten of each model
_ALLOWED = 0.05


@dataclass(frozen=True)
class Alternation:
    """Jobs over three models in turn, in one process whose shelf has room for two."""

    models: tuple[str, ...]
    resident_bytes: tuple[int, ...]
    """After each job."""
    evictions: int
    load_s: float
    """What loading a model took, its SHA-256 included; the mean of those that were warm at the end."""
    cpu_s: float

    @property
    def growth(self) -> float:
        """How much more the last window took at most than the second one: 0.01 is one per cent.

        In the first, memory is still being taken for the first time. The larger of two of three models are
        not always the same, so that windows are compared and not jobs."""
        window = min(_WINDOW, max(1, len(self.resident_bytes) // 3))
        second, last = self.resident_bytes[window : 2 * window], self.resident_bytes[-window:]
        return max(last) / max(second) - 1


def measure_alternation(jobs: int, models: tuple[str, ...], folder: Path) -> Alternation:
    """Runs `jobs` jobs in a fresh process; the weights lie in `folder` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as name:
        command = [
            sys.executable,
            "-m",
            "benchmarks.alternate_process",
            str(jobs),
            str(Path(name).absolute()),
        ]
        done = subprocess.run(
            [*command, *models],
            cwd=_ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=_LONGEST_SECONDS,
        )
    report = json.loads(done.stdout.splitlines()[-1])
    return Alternation(models, tuple(report.pop("resident_bytes")), **report)


def table(runs: tuple[Alternation, ...]) -> Table:
    rows = tuple(
        (
            ", ".join(run.models),
            str(len(run.resident_bytes)),
            str(run.evictions),
            f"{max(run.resident_bytes) / 1e6:.0f} MB",
            f"{100 * run.growth:+.1f} %",
            seconds(run.load_s),
            seconds(run.cpu_s),
        )
        for run in runs
    )
    flat = all(run.growth <= _ALLOWED for run in runs)
    note = f"Growth from the second {_WINDOW} jobs to the last: {'within' if flat else 'MORE THAN'} 5 %."
    head = ("models in turn, room for two", "jobs", "evictions", "peak", "growth", "a load", "cpu")
    return Table("Memory while models come and go", head, rows, note)
