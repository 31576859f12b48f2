"""How a label map is laid out in storage: its chunks, and the smaller copies of a volume."""

from dataclasses import dataclass
from math import ceil, prod

CHUNK = 512
_VOLUME_CHUNK = 256
_DEEPEST_CHUNK = 32
_SLAB_BYTES = 1 << 26
"""Most of the slices that are held until their chunks are whole; at least one slice is."""
_TOP_SIDE = 512
"""Smaller copies are made until no side is longer."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Level:
    """A copy of the map."""

    path: str
    step: Shape
    """Every so many pixels of each axis are kept."""
    shape: Shape
    chunks: Shape


def levels(shape: Shape, itemsize: int, spacing: tuple[float, ...] | None) -> list[Level]:
    """Of an image (Y, X) the map alone. Of a volume (Z, Y, X) also copies of every second voxel, along axes
    whose voxels are not much longer than the shortest, until what is left is small."""
    if len(shape) == 2:
        return [Level("0", (1, 1), shape, tuple(min(CHUNK, side) for side in shape))]
    steps = [(1, 1, 1)]
    while max(_shrunk(shape, steps[-1])) > _TOP_SIDE:
        steps.append(_next(shape, steps[-1], spacing or (1.0, 1.0, 1.0)))
    depth = _depth(shape, itemsize)
    return [
        Level(
            str(number),
            step,
            small,
            (min(depth, small[0]), *(min(_VOLUME_CHUNK, side) for side in small[1:])),
        )
        for number, step in enumerate(steps)
        for small in [_shrunk(shape, step)]
    ]


def _next(shape: Shape, step: tuple[int, int, int], spacing: tuple[float, ...]) -> tuple[int, int, int]:
    lengths = [size * each for size, each in zip(spacing, step, strict=True)]
    shortest = min(length for length, side in zip(lengths, _shrunk(shape, step), strict=True) if side > 1)
    z, y, x = (
        each * 2 if length < 1.5 * shortest else each for each, length in zip(step, lengths, strict=True)
    )
    return z, y, x


def _shrunk(shape: Shape, step: Shape) -> Shape:
    return tuple(ceil(side / each) for side, each in zip(shape, step, strict=True))


def _depth(shape: Shape, itemsize: int) -> int:
    """Slices in a chunk: a power of two, fewer where slices are large."""
    depth = _DEEPEST_CHUNK
    while depth > 1 and depth * prod(shape[1:]) * itemsize > _SLAB_BYTES:
        depth //= 2
    return depth
