"""Connected components of a map that is seen band by band."""

from typing import Literal

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Labels = npt.NDArray[np.uint32]
_Edges = npt.NDArray[np.int64]


class Components:
    """Components of equal, non-zero values, numbered from 1 in the order of their first pixels.

    Bands are numbered as they come; which numbers are one component is known when all bands were seen.
    """

    def __init__(self, connectivity: Literal[4, 8]) -> None:
        self._connectivity: Literal[4, 8] = connectivity
        self._shifts = (0,) if connectivity == 4 else (-1, 0, 1)
        self.count = 0
        """Numbers given so far."""
        self._values: list[Labels] = [np.zeros(1, np.uint32)]
        self._edges: list[_Edges] = []
        self._last: tuple[Labels, Labels] | None = None

    def add(self, values: Labels) -> Labels:
        """Numbers of the next band (rows, W) of values."""
        numbers, found = self._number(values)
        value_of = np.zeros(found + 1, np.uint32)
        value_of[numbers.ravel()] = values.ravel()
        if self.count > 0:
            np.add(numbers, np.uint32(self.count), out=numbers, where=numbers > 0)
        self._values.append(value_of[1:])
        self.count += found
        if self._last is not None:
            self._join(self._last, (values[0], numbers[0]))
        self._last = values[-1].copy(), numbers[-1].copy()
        return numbers

    def _number(self, values: Labels) -> tuple[Labels, int]:
        """Components of one band, numbered from 1, and how many there are."""
        numbers, found = cc3d.connected_components(
            values, connectivity=self._connectivity, out_dtype=np.uint32, return_N=True
        )
        return np.asarray(numbers, np.uint32), int(found)

    def _join(self, above: tuple[Labels, Labels], below: tuple[Labels, Labels]) -> None:
        """Notes which numbers meet between the last row of one band and the first of the next."""
        for shift in self._shifts:
            upper = slice(max(0, -shift), len(above[0]) - max(0, shift))
            lower = slice(max(0, shift), len(above[0]) - max(0, -shift))
            same = (above[0][upper] == below[0][lower]) & (above[0][upper] > 0)
            # Pairs as single numbers are found unique many times faster than rows of two.
            codes = np.unique(above[1][upper][same].astype(np.uint64) << 32 | below[1][lower][same])
            self._edges.append(np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1).astype(np.int64))

    def values(self) -> Labels:
        """(count + 1,) value of each number; that of 0 is 0."""
        return np.concatenate(self._values)

    def merged(self) -> tuple[npt.NDArray[np.int64], int]:
        """(count + 1,) final number of each number given, and how many final ones there are."""
        edges = np.concatenate([np.empty((0, 2), np.int64), *self._edges])
        size = self.count + 1
        if len(edges) == 0:
            return np.arange(size), self.count
        graph = coo_array((np.ones(len(edges), np.bool_), (edges[:, 0], edges[:, 1])), shape=(size, size))
        # Components are numbered by their smallest member, so 0 stays 0 and the order of first pixels stays.
        n, final = connected_components(graph, directed=False)
        return final.astype(np.int64), int(n) - 1
