"""Where a tile lies in its image, so that a network can show it as a part of the whole."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from numpy.typing import NDArray
from torch import Tensor

Positions = NDArray[np.floating]


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
    _, _, height, width = maps.shape
    rows = np.stack(
        [_positions(p.y / stride, p.height // stride, size[0], size[0] // height) for p in places]
    )
    columns = np.stack(
        [_positions(p.x / stride, p.width // stride, size[1], size[1] // width) for p in places]
    )
    y = _normalised(rows, height, maps)[:, :, None].expand(-1, -1, size[1])
    x = _normalised(columns, width, maps)[:, None].expand(-1, size[0], -1)
    grid = torch.stack((x, y), dim=3)  # (N, H, W, 2)
    enlarged = F.grid_sample(maps.float(), grid, padding_mode="border", align_corners=True)
    return enlarged.to(maps.dtype)


def _positions(start: float, whole: int, count: int, factor: int) -> Positions:
    """Where in a part that begins at `start` of `whole` points its `count` enlarged points are read."""
    step = (whole - 1) / max(1, factor * whole - 1)
    return (np.arange(count) + start * factor) * step - start


def _normalised(positions: Positions, size: int, like: Tensor) -> Tensor:
    """Positions 0 to size - 1 as -1 to 1."""
    return torch.from_numpy(2 * positions / max(1, size - 1) - 1).to(like.device, torch.float32)
