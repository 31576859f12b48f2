"""`make bench`: measures, shows tables, and writes them to benchmarks/results as JSON and plots."""

import os

from benchmarks.surroundings import AS_IN_SERVICE

os.environ.update(AS_IN_SERVICE)

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table as RichTable

from benchmarks.plan import FULL, Plan
from benchmarks.results import Results
from benchmarks.run import Run
from benchmarks.table import Table

_FOLDER = Path(__file__).parent / "results"
_WIDTH = 120  # characters, of a file or a pipe


def main(
    full: Annotated[
        bool, typer.Option(envvar="BENCH_FULL", help="Measure more, which takes much longer")
    ] = False,
) -> None:
    """Measure emserve beside its peer; tables are shown, and written with plots to benchmarks/results."""
    plan = FULL if full else Plan()
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    results = _measure(plan, console)
    results.write(_FOLDER)
    machine = results.machine
    console.print(f"{machine.system}, {machine.cores} cores, {machine.instructions}, torch {machine.torch}")
    for table in results.tables():
        console.print(drawn(table))
    console.print(f"Written to {_FOLDER}")


def _measure(plan: Plan, console: Console) -> Results:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=plan.steps)

        def on_step(what: str) -> None:
            if not console.is_terminal:  # nothing can be drawn over there
                console.print(what)
            progress.update(bar, description=what)
            progress.advance(bar)

        return Run(plan, _FOLDER, on_step).results()


def drawn(table: Table) -> RichTable:
    drawn = RichTable(title=table.title, caption=table.note, title_justify="left", caption_justify="left")
    for index, name in enumerate(table.head):
        drawn.add_column(name, justify="left" if index == 0 else "right")
    for row in table.rows:
        drawn.add_row(*row)
    return drawn


if __name__ == "__main__":
    typer.run(main)
