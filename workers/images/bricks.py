"""A volume in a file of bricks, of which planes along each axis are read at about the same cost."""

import os
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emserve.volumes import BRICK
from workers.images.transfer import transfer

Shape = tuple[int, int, int]
Plane = NDArray[Any]  # (H, W) in the volume's data type
Planes = NDArray[Any]  # (n, H, W), the same


class Bricks:
    """A volume (Z, Y, X), cut into bricks of 64 voxels a side that lie in the file one after the other.

    A brick's own slices follow each other, so that a slice of the volume is written as it comes, in pieces
    of 64 x 64, and nothing more than a slice is ever held. Reads and writes go through the file, not through
    a memory map, so that what has been seen does not count as resident memory. Raises OSError, ENOSPC among
    them.
    """

    def __init__(self, path: Path, shape: Shape, dtype: DTypeLike) -> None:
        """The volume in `path`; a new file reads as zeros, and takes room only for what is written."""
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._depth = min(BRICK, shape[0])
        self._grid = (ceil(shape[0] / self._depth), ceil(shape[1] / BRICK), ceil(shape[2] / BRICK))
        self._piece_bytes = BRICK * BRICK * self.dtype.itemsize
        self._brick_bytes = self._depth * self._piece_bytes
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._fd, prod(self._grid) * self._brick_bytes)

    def write(self, z: int, y0: int, x0: int, part: Plane) -> None:
        """A part (h, w) of slice z. y0 and x0 are multiples of 64, and so are h and w unless the part
        reaches the slice's edge."""
        height, width = part.shape
        rows, columns = ceil(height / BRICK), ceil(width / BRICK)
        whole = np.zeros((rows * BRICK, columns * BRICK), self.dtype)
        whole[:height, :width] = part
        pieces = np.ascontiguousarray(whole.reshape(rows, BRICK, columns, BRICK).swapaxes(1, 2))
        for row, column in product(range(rows), range(columns)):
            place = self._place(z, y0 // BRICK + row, x0 // BRICK + column)
            transfer(os.pwritev, self._fd, pieces[row, column], place)

    def planes(self, axis: int, begin: int, end: int) -> Planes:
        """Planes `begin` to `end` - 1 across `axis`: (n, Y, X) for 0, (n, Z, X) for 1, (n, Z, Y) for 2."""
        sides = [side for at, side in enumerate(self.shape) if at != axis]
        if axis == 0:
            return np.stack([self._slice(z) for z in range(begin, end)])[:, : sides[0], : sides[1]]
        parts = []
        while begin < end:  # bricks that hold several of the planes are read once
            until = min(end, (begin // BRICK + 1) * BRICK)
            parts.append(self._across(axis, begin, until))
            begin = until
        return np.concatenate(parts)[:, : sides[0], : sides[1]]

    def _slice(self, z: int) -> Plane:
        _, rows, columns = self._grid
        pieces = np.empty((rows, columns, BRICK, BRICK), self.dtype)
        for row, column in product(range(rows), range(columns)):
            transfer(os.preadv, self._fd, pieces[row, column], self._place(z, row, column))
        return pieces.swapaxes(1, 2).reshape(rows * BRICK, columns * BRICK)

    def _across(self, axis: int, begin: int, end: int) -> Planes:
        """(n, Z, X) or (n, Z, Y) of planes in one layer of bricks, with what pads the last bricks."""
        layers, *others = self._grid
        count = others[2 - axis]
        planes = np.empty((end - begin, layers * self._depth, count * BRICK), self.dtype)
        brick = np.empty((self._depth, BRICK, BRICK), self.dtype)
        number, inside = begin // BRICK, slice(begin % BRICK, (end - 1) % BRICK + 1)
        for layer, place in product(range(layers), range(count)):
            row, column = (number, place) if axis == 1 else (place, number)
            transfer(os.preadv, self._fd, brick, self._place(layer * self._depth, row, column))
            cut = np.moveaxis(brick, axis, 0)[inside]
            z, along = layer * self._depth, place * BRICK
            planes[:, z : z + self._depth, along : along + BRICK] = cut
        return planes

    def _place(self, z: int, row: int, column: int) -> int:
        """Where in the file the piece of slice z in a row and a column of bricks begins."""
        layer, inside = divmod(z, self._depth)
        _, rows, columns = self._grid
        return ((layer * rows + row) * columns + column) * self._brick_bytes + inside * self._piece_bytes

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
