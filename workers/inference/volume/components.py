"""Connected components of a volume that is seen slab by slab."""

from itertools import product

import cc3d
import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Labels = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]


class Components3D:
    """26-connected components of equal, non-zero values, numbered from 1 in the order of their first voxels.

    Slabs are numbered as they come; which numbers are one component is known when all slabs were seen.
    """

    def __init__(self) -> None:
        self._values: list[Labels] = [np.zeros(1, np.uint32)]
        self._edges: list[Integers] = [np.empty((0, 2), np.int64)]
        self._count = 0
        self._last: tuple[Labels, Labels] | None = None  # values and numbers of the last slice

    def add(self, values: Labels) -> Labels:
        """Numbers of the next slab (n, Y, X) of values."""
        numbers, found = cc3d.connected_components(
            values, connectivity=26, out_dtype=np.uint32, return_N=True
        )
        value_of = np.zeros(found + 1, np.uint32)
        value_of[numbers.ravel()] = values.ravel()
        np.add(numbers, np.uint32(self._count), out=numbers, where=numbers > 0)
        self._values.append(value_of[1:])
        self._count += int(found)
        if self._last is not None:
            self._join(self._last, (values[0], numbers[0]))
        self._last = values[-1].copy(), numbers[-1].copy()
        return np.asarray(numbers, np.uint32)

    def _join(self, above: tuple[Labels, Labels], below: tuple[Labels, Labels]) -> None:
        """Notes which numbers meet between the last slice of one slab and the first of the next."""
        for shift in product((-1, 0, 1), repeat=2):
            upper, lower = _shifted(above[0].shape, shift)
            same = (above[0][upper] == below[0][lower]) & (above[0][upper] > 0)
            codes = np.unique(above[1][upper][same].astype(np.uint64) << 32 | below[1][lower][same])
            self._edges.append(np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1).astype(np.int64))

    def merged(self) -> tuple[Labels, Labels]:
        """(count + 1,) component of each number given, and (n + 1,) the value of each component."""
        edges, values = np.concatenate(self._edges), np.concatenate(self._values)
        size = len(values)
        graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(size, size))
        # Components are numbered by their smallest member, so 0 stays 0 and the order of first voxels stays.
        n, final = connected_components(graph, directed=False)
        value_of = np.zeros(n, np.uint32)
        value_of[final] = values
        return final.astype(np.uint32), value_of


_Window = tuple[slice, slice]


def _shifted(shape: tuple[int, ...], shift: tuple[int, ...]) -> tuple[_Window, _Window]:
    """Windows of two arrays of this shape whose places lie `shift` from each other."""
    pairs = list(zip(shape, shift, strict=True))
    (y, x) = (slice(max(0, -by), side - max(0, by)) for side, by in pairs)
    (v, u) = (slice(max(0, by), side - max(0, -by)) for side, by in pairs)
    return (y, x), (v, u)
