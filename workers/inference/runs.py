"""Runs: a band of a label map as stretches of one label in one row."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """Stretches of non-zero labels, in row-major order; none goes beyond its row."""

    label: Integers
    y: Integers
    x0: Integers
    x1: Integers
    """One past the last column."""

    @property
    def length(self) -> Integers:
        return self.x1 - self.x0


def find_runs(labels: npt.NDArray[np.uint32], y0: int) -> Runs:
    """The runs of a band (rows, W) whose first row is row `y0` of the map."""
    rows, width = labels.shape
    begins = np.ones((rows, width), np.bool_)
    np.not_equal(labels[:, 1:], labels[:, :-1], out=begins[:, 1:])
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], rows * width)  # a row's last run ends where the next row begins
    label = labels.ravel()[starts].astype(np.int64)
    inside = label > 0
    y, x0 = np.divmod(starts[inside], width)
    return Runs(label[inside], y + y0, x0, x0 + (ends - starts)[inside])


@dataclass(frozen=True)
class Boxes:
    """Half-open bounding boxes of labels 0 to n: rows y0 to y1 - 1, columns x0 to x1 - 1."""

    y0: Integers
    x0: Integers
    y1: Integers
    x1: Integers

    @classmethod
    def empty(cls, n: int) -> "Boxes":
        far = np.iinfo(np.int64).max
        return cls(
            np.full(n + 1, far), np.full(n + 1, far), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
        )

    def grow(self, runs: Runs) -> None:
        """Takes in the runs of another band."""
        np.minimum.at(self.y0, runs.label, runs.y)
        np.minimum.at(self.x0, runs.label, runs.x0)
        np.maximum.at(self.y1, runs.label, runs.y + 1)
        np.maximum.at(self.x1, runs.label, runs.x1)

    @property
    def sides(self) -> tuple[Integers, Integers]:
        """Heights and widths; not to be asked of labels without pixels."""
        return self.y1 - self.y0, self.x1 - self.x0
