"""Where a tile lies in its image, so that a network can show it as a part of the whole."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Place:
    """Where an image lies in a larger one, all in pixels of the network's input."""

    y: int
    x: int
    height: int
    """Of the larger image, with its padding."""
    width: int

    @classmethod
    def whole(cls, height: int, width: int) -> Self:
        """The place of an image that is no part of another."""
        return cls(0, 0, height, width)


def enlarge(maps: Tensor, size: tuple[int, int], stride: int, places: list[Place]) -> Tensor:
    """Maps (N, C, h, w), with a point every `stride` pixels, enlarged linearly to (N, C, *size).

    The corners of the whole image are aligned, as the networks were trained to: how far a point moves
    depends on its place in the whole. So a tile gets the very values that the whole gets there.
    """
    batch, channels, height, width = maps.shape
    rows = [_interpolation(p.y / stride, p.height // stride, (size[0], height)) for p in places]
    columns = [_interpolation(p.x / stride, p.width // stride, (size[1], width)) for p in places]
    by_row, by_column = (torch.from_numpy(np.stack(each)).to(maps) for each in (rows, columns))
    # As products, whose result lies in memory as the convolutions want it: a pixel's channels together.
    lines = by_row @ maps.permute(0, 2, 3, 1).reshape(batch, height, width * channels)
    lines = lines.view(batch, size[0], width, channels)
    # One by one: torch would copy an image's matrix for each of its lines.
    each = [matrix @ of_one for matrix, of_one in zip(by_column, lines, strict=True)]
    pixels = torch.stack(each) if batch > 1 else each[0][None]
    return pixels.permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def _interpolation(start: float, whole: int, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Linear interpolation of a part that begins at `start` of `whole` points: (enlarged, points)."""
    enlarged, points = shape
    factor = enlarged // points
    step = (whole - 1) / max(1, factor * whole - 1)
    position = np.clip((np.arange(enlarged) + start * factor) * step - start, 0, points - 1)
    first = np.minimum(position.astype(np.intp), max(0, points - 2))
    share = position - first
    matrix = np.zeros(shape, np.float32)
    matrix[np.arange(enlarged), first] = 1 - share
    matrix[np.arange(enlarged), np.minimum(first + 1, points - 1)] += share
    return matrix
