"""The log of a training run: a table of losses, and a plot of it."""

import csv
from dataclasses import dataclass, fields
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # files only: a training may run without a screen
from matplotlib.figure import Figure  # after the choice of a backend

_PARTS = ("semantic", "centre", "offset", "points", "kinds")


@dataclass(frozen=True)
class Losses:
    """A batch's losses, each with its weight, so that they add up to `total`."""

    total: float
    semantic: float
    centre: float
    offset: float
    points: float
    kinds: float


class RunLog:
    """Means of the losses over some steps, a row each, in `log.csv`; `log.png` shows them."""

    def __init__(self, run: Path, every: int = 50) -> None:
        self._path, self._picture = run / "log.csv", run / "log.png"
        self._every = every
        self._collected: list[Losses] = []

    def begin(self, crops: int) -> None:
        """Forgets rows of steps that will be done again, after `crops`."""
        rows = [row for row in self.rows() if row["crops"] <= crops]
        with self._path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["crops", "rate", *(field.name for field in fields(Losses))])
            writer.writeheader()
            writer.writerows(rows)

    def add(self, crops: int, rate: float, losses: Losses) -> None:
        """Counts a step; every so many of them become a row."""
        self._collected.append(losses)
        if len(self._collected) < self._every:
            return
        means = [
            sum(getattr(each, field.name) for each in self._collected) / len(self._collected)
            for field in fields(Losses)
        ]
        self._collected.clear()
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow([crops, f"{rate:.3g}", *(f"{mean:.4g}" for mean in means)])

    def rows(self) -> list[dict[str, float]]:
        """The rows so far."""
        if not self._path.exists():
            return []
        with self._path.open(newline="") as file:
            return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]

    def draw(self) -> None:
        """Writes the plot of the rows so far."""
        rows = self.rows()
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        crops = [row["crops"] for row in rows]
        axes.stackplot(crops, *([row[part] for row in rows] for part in _PARTS), labels=_PARTS)
        axes.set(xlabel="crops", ylabel="loss, weighted", ylim=(0, None))
        axes.legend(loc="upper right")
        figure.savefig(self._picture, dpi=120)
