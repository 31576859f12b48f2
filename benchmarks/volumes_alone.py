"""`python -m benchmarks.volumes_alone`: what `make bench` measures of volumes, and nothing else."""

import os

from benchmarks.surroundings import AS_IN_SERVICE

os.environ.update(AS_IN_SERVICE)  # before numpy and torch are loaded

from pathlib import Path

from rich.console import Console

from benchmarks import beyond_memory, tracking, volumes
from benchmarks.__main__ import drawn
from benchmarks.plan import Plan
from benchmarks.run import Run


def main() -> None:
    console = Console(width=140)
    run = Run(Plan(), Path(__file__).parent / "results", console.print)
    peer, _ = run.peer()
    console.print(drawn(tracking.matching_table(tuple(run.matchings(peer)))))
    console.print(drawn(tracking.consensus_table(tuple(run.consensuses(peer)))))
    console.print(drawn(beyond_memory.table(tuple(run.beyond()))))
    stacks = []
    for stack in run.stacks():  # the deepest takes minutes
        stacks.append(stack)
        console.print(drawn(volumes.table(tuple(stacks))))


if __name__ == "__main__":
    main()
