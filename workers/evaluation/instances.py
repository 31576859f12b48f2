"""The objects of a file, slab by slab: its labels, or the connected components of its mask."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workers.evaluation.overlaps import Integers, Labels, require_integers, require_labels
from workers.evaluation.stored_array import StoredArray


class Instances:
    """The objects of a label map, or, of a mask, its `components`."""

    def __init__(self, stored: StoredArray, *, components: bool) -> None:
        require_integers(stored.dtype, str(stored.path))
        self._stored = stored
        self._components = MaskComponents() if components else None

    @property
    def shape(self) -> tuple[int, ...]:
        """(Y, X) or (Z, Y, X)."""
        return self._stored.shape

    def slabs(self) -> Iterator[tuple[int, Labels]]:
        """Where each slab begins, and its labels; of a mask they are final after `final_labels`."""
        for begin, values in self._stored.slabs():
            labels = require_labels(values, str(self._stored.path))
            yield begin, labels if self._components is None else self._components.add(labels > 0)

    def final_labels(self) -> Integers | None:
        """The final label of each that came; None where they are final as they are. After all slabs."""
        return None if self._components is None else self._components.final_labels()


class MaskComponents:
    """Connected components of a mask of two or three axes that comes in slabs along the first.

    Pixels are connected by their sides (4 neighbours), voxels by their faces (6): objects that touch at a
    corner are two.
    """

    def __init__(self) -> None:
        self._count = 0
        self._edges: list[Integers] = [np.empty((0, 2), np.int64)]
        self._last: Integers | None = None

    def add(self, mask: NDArray[np.bool_]) -> Integers:
        """Numbers of the components within the next slab, from where the last slab's ended."""
        numbers = np.empty(mask.shape, np.int32)
        found = ndimage.label(mask, output=numbers)
        labels = np.where(mask, numbers.astype(np.int64) + self._count, 0)
        if self._last is not None:
            both = (self._last > 0) & (labels[0] > 0)
            self._edges.append(_distinct(self._last[both], labels[0][both]))
        self._count += int(found)
        self._last = labels[-1].copy()
        return labels

    def final_labels(self) -> Integers:
        """(count + 1,) the component of each number given; that of 0 is 0."""
        edges = np.concatenate(self._edges)
        size = self._count + 1
        ones = np.ones(len(edges), np.int64)
        graph = coo_array((ones, (edges[:, 0], edges[:, 1])), shape=(size, size))
        # Components are numbered by their smallest member, so 0 stays 0.
        _, final = connected_components(graph, directed=False)
        return np.asarray(final, np.int64)


def _distinct(first: Integers, second: Integers) -> Integers:
    """(n, 2) the pairs, most of those that occur several times left out."""
    pairs = np.stack([first, second], axis=1)
    begins = np.ones(len(pairs), np.bool_)
    begins[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    return pairs[begins]
