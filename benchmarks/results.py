"""All results of one run: as JSON, as tables, as plots."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import (
    agreement,
    alternation,
    beyond_memory,
    decoding,
    forward,
    measures,
    memory,
    plots,
    post_processing,
    scaling,
    tracking,
    volumes,
)
from benchmarks.table import Table


@dataclass(frozen=True)
class Machine:
    """What the numbers hold for."""

    system: str
    cores: int
    instructions: str
    """The widest that torch uses."""
    python: str
    torch: str
    began: str

    @classmethod
    def here(cls) -> "Machine":
        return cls(
            system=f"{platform.system()} {platform.machine()}",
            cores=os.cpu_count() or 1,
            instructions=torch.backends.cpu.get_cpu_capability(),
            python=platform.python_version(),
            torch=torch.__version__,
            began=datetime.now(UTC).isoformat(timespec="seconds"),
        )


@dataclass(frozen=True)
class Results:
    """What one run measured."""

    machine: Machine
    peer_missing: str
    """Why the peer did not run; empty where it did."""
    post_processing: tuple[post_processing.PostProcessing, ...]
    measures: tuple[measures.Measures, ...]
    costs: tuple[scaling.Cost, ...]
    peaks: tuple[memory.Peak, ...]
    decodings: tuple[decoding.Decoding, ...]
    alternations: tuple[alternation.Alternation, ...]
    forward: tuple[forward.Forward, ...]
    agreement: tuple[agreement.Agreement, ...]
    stacks: tuple[volumes.Stack, ...]
    beyond: tuple[beyond_memory.Beyond, ...]
    matchings: tuple[tracking.Matching, ...]
    consensuses: tuple[tracking.Consensus, ...]

    def tables(self) -> tuple[Table, ...]:
        return (
            post_processing.table(self.post_processing, self.peer_missing),
            measures.table(self.measures),
            scaling.table(self.costs),
            memory.table(self.peaks),
            decoding.table(self.decodings),
            alternation.table(self.alternations),
            forward.table(self.forward),
            agreement.table(self.agreement),
            volumes.table(self.stacks),
            beyond_memory.table(self.beyond),
            tracking.matching_table(self.matchings),
            tracking.consensus_table(self.consensuses),
        )

    def write(self, folder: Path) -> None:
        """results.json and four plots."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "results.json").write_text(json.dumps(asdict(self), indent=2) + "\n")
        plots.plot_post_processing(self.post_processing, folder / "post_processing.png")
        plots.plot_costs(self.costs, folder / "cost.png")
        plots.plot_peaks(self.peaks, folder / "memory.png")
        plots.plot_forward(self.forward, folder / "forward.png")
