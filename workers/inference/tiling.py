"""Tiling: where tiles lie, and how much each counts where they overlap."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BORDER, _LARGEST_BORDER = 0.1, 128
_CONTEXT = 102  # pixels; the border of a tile of 1024. A smaller tile's network looks no less far.
_GRID = 16  # pixels; the stride of the deepest features that keep their place
_UNSEEN = 0.4  # share of an overlap, at a tile's very edge, where what the network saw was cut off


@dataclass(frozen=True)
class Axis:
    """One axis of the tiling, in pixels of the network's input."""

    length: int
    """Of the padded image; no tile goes beyond it."""
    size: int
    """Of every tile."""
    starts: tuple[int, ...]

    def weights(self) -> npt.NDArray[np.float32]:
        """(tiles, size) how much each tile counts at each of its pixels; at every pixel they add up to 1.

        Across an overlap the weight moves from one tile to the next in a straight line, but for the
        outermost two fifths at either end, which the inner tile has to itself.
        """
        weights = np.ones((len(self.starts), self.size), np.float32)
        for index, (start, following) in enumerate(zip(self.starts, self.starts[1:], strict=False)):
            overlap = start + self.size - following
            unseen = int(_UNSEEN * overlap)
            ramp = (np.arange(overlap) + 0.5 - unseen) / max(1, overlap - 2 * unseen)
            ramp = np.clip(ramp, 0, 1).astype(np.float32)
            weights[index, self.size - overlap :] *= 1 - ramp
            weights[index + 1, :overlap] *= ramp
        total = np.zeros(self.length, np.float32)  # not 1 where three tiles meet
        for start, weight in zip(self.starts, weights, strict=True):
            total[start : start + self.size] += weight
        for start, weight in zip(self.starts, weights, strict=True):
            weight /= total[start : start + self.size]
        return weights


@dataclass(frozen=True)
class Cut:
    """How large images are cut."""

    tile: int
    """Side of a tile; 0 never cuts."""
    stride: int
    """The network's: tiles are multiples of it."""
    padding: int
    """An image that fits into one tile is padded to a multiple of this."""

    @property
    def side(self) -> int:
        return _up(self.tile, self.stride)

    def axis(self, length: int) -> Axis:
        """Tiles along an axis of `length` pixels."""
        if self.tile == 0 or length <= self.side:
            whole = _up(length, self.padding)
            return Axis(whole, whole, (0,))
        # Where tiles lie on the same grid as the whole, the network sees them almost as it sees the whole.
        grid = min(self.stride, _GRID)
        padded = _up(length, grid)
        starts = tuple(start // grid * grid for start in tile_starts(padded, self.side, _border(self.side)))
        return Axis(padded, self.side, starts)


def _border(size: int) -> int:
    """Of a tile of `size` pixels: a tenth as in empanada, up to 128, but no less than the network needs.

    A quarter is the most: otherwise a tile would be nothing but borders.
    """
    return max(min(_LARGEST_BORDER, int(_BORDER * size)), min(_CONTEXT, size // 4))


def tile_starts(length: int, size: int, border: int) -> list[int]:
    """Where tiles of `size` pixels begin so that they cover `length` with borders as equal as can be.

    Neighbours share at least two borders. For the same border these are the tiles that empanada's users know.
    """
    if length <= size:
        return [0]
    count = -(-max(0, length - 2 * (size - border)) // (size - 2 * border)) + 2
    excess = 2 * (size - border) + (count - 2) * (size - 2 * border) - length
    even = excess / (2 * count - 2) + border
    return [*(index * size - int(2 * index * even) for index in range(count - 1)), length - size]


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
