"""Erosion and dilation of a label map, slab by slab."""

from collections.abc import Callable, Iterator

import numpy as np

from workers.inference.rows import bands
from workers.inference.volume.span_volume import SpanVolume
from workers.inference.volume.spans import Labels

_FAR = np.uint32(np.iinfo(np.uint32).max)
_SLAB_VOXELS = 1 << 21

LAYERS_AT_ONCE = 8
"""More are taken in several passes: a pass holds twice as many slices beside those that it works on."""

Slabs = Iterator[Labels]


def eroded(volume: SpanVolume, layers: int) -> Slabs:
    """Slabs (n, Y, X) in which each voxel has the smallest label of itself and its six
    neighbours, `layers` times.

    What lies outside the volume takes nothing off. Where two objects touch, the one with the smaller label
    grows, as in the reference.
    """
    return _spread(volume, layers, np.minimum, _FAR)


def dilated(volume: SpanVolume, layers: int) -> Slabs:
    """The same with the largest label: where two objects meet, the larger label wins."""
    return _spread(volume, layers, np.maximum, np.uint32(0))


def _spread(volume: SpanVolume, layers: int, choose: Callable[..., Labels], outside: np.uint32) -> Slabs:
    depth = volume.shape[0]
    for z0, z1 in bands(depth, slab_slices(volume.shape)):
        top, bottom = max(0, z0 - layers), min(depth, z1 + layers)
        slab = volume.read(top, bottom)
        for _ in range(layers):
            slab = _once(slab, choose, outside)
        yield slab[z0 - top : z1 - top]


def _once(slab: Labels, choose: Callable[..., Labels], outside: np.uint32) -> Labels:
    padded = np.full(tuple(side + 2 for side in slab.shape), outside, np.uint32)
    inner = (slice(1, -1),) * 3
    padded[inner] = slab
    result = slab.copy()
    for axis in range(3):
        for side in (slice(0, -2), slice(2, None)):
            window = (*inner[:axis], side, *inner[axis + 1 :])
            choose(result, padded[window], out=result)
    return result


def slab_slices(shape: tuple[int, int, int]) -> int:
    """How many xy slices to hold at once."""
    return max(1, _SLAB_VOXELS // (shape[1] * shape[2]))
