"""The log of a training run: a table of losses, and a plot of it."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # files only: a training may run without a screen
from matplotlib.figure import Figure  # after the choice of a backend

from training.checkpoint import CannotKeep
from training.whole_file import write_whole

_PARTS = ("semantic", "centre", "offset", "points", "kinds")
_COLUMNS = ("crops", "rate", "total", *_PARTS)


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
    """Means of the losses over some steps, a row each, in `log.csv`; `log.png` shows them.

    What writes raises CannotKeep on a full disk.
    """

    def __init__(self, run: Path, every: int = 50) -> None:
        self._path, self._picture = run / "log.csv", run / "log.png"
        self._every = every
        self._collected: list[Losses] = []
        self._reached: tuple[int, float] = 0, 0.0  # crops and rate of the last step

    def begin(self, crops: int) -> None:
        """Forgets rows of steps that will be done again, after `crops`."""
        rows = [row.values() for row in self.rows() if row["crops"] <= crops]
        self._write(self._path, _csv([_COLUMNS, *rows]))

    def add(self, crops: int, rate: float, losses: Losses) -> None:
        """Counts a step; every so many of them become a row."""
        self._collected.append(losses)
        self._reached = crops, rate
        if len(self._collected) == self._every:
            self.end()

    def end(self) -> None:
        """Makes a row of the steps that are in none."""
        if not self._collected:
            return
        means = [
            sum(getattr(each, field.name) for each in self._collected) / len(self._collected)
            for field in fields(Losses)
        ]
        self._collected.clear()
        crops, rate = self._reached
        try:
            with self._path.open("ab") as file:
                file.write(_csv([[crops, f"{rate:.3g}", *(f"{mean:.4g}" for mean in means)]]))
        except OSError as error:
            raise CannotKeep(self._path, error) from error

    def rows(self) -> list[dict[str, float]]:
        """The rows so far; what a crash left of one is none."""
        if not self._path.is_file():
            return []
        with self._path.open(newline="", errors="replace") as file:
            table = list(csv.reader(line for line in file if line.endswith("\n")))
        return [row for cells in table if (row := _row(cells)) is not None]

    def draw(self) -> None:
        """Writes the plot of the rows so far."""
        rows = self.rows()
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        crops = [row["crops"] for row in rows]
        axes.stackplot(crops, *([row[part] for row in rows] for part in _PARTS), labels=_PARTS)
        axes.set(xlabel="crops", ylabel="loss, weighted", ylim=(0, None))
        axes.legend(loc="upper right")
        picture = io.BytesIO()
        figure.savefig(picture, dpi=120)
        self._write(self._picture, picture.getbuffer())

    @staticmethod
    def _write(path: Path, content: bytes | memoryview) -> None:
        try:
            write_whole(path, content)
        except OSError as error:
            raise CannotKeep(path, error) from error


def _csv(rows: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _row(cells: list[str]) -> dict[str, float] | None:
    """None of the header, and of what is no whole row."""
    try:
        return dict(zip(_COLUMNS, map(float, cells), strict=True))
    except ValueError:
        return None
