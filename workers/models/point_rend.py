"""PointRend: logits refined at the most uncertain points (Kirillov et al. 2020, arXiv:1912.08193)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from numpy.typing import NDArray
from torch import Tensor, nn

REFINED_POINTS = 8192
"""Pixels that are decided anew in each step, of an image of up to 1024 x 1024."""

_SHARP_AREA = 1024 * 1024
HIDDEN_LAYERS = 3
_THINNING, _SPARE = (
    17,
    1.25,
)  # of the sample that bounds the least certain points: an odd step meets every column


class PointLinear(nn.Conv1d):
    """A convolution of width 1 over points, applied to (N, P, C) as the matrix product that it is."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, :, 0], self.bias)


class PointHead(nn.Module):
    """Perceptron on single points; each layer sees the coarse logits again."""

    def __init__(self, feature_channels: int, num_classes: int) -> None:
        super().__init__()
        joint = feature_channels + num_classes
        self.fc_layers = nn.ModuleList(
            nn.Sequential(PointLinear(joint, feature_channels), nn.ReLU(inplace=True))
            for _ in range(HIDDEN_LAYERS)
        )
        self.predictor = PointLinear(joint, num_classes)

    def forward(self, features: Tensor, coarse: Tensor) -> Tensor:
        """Features (N, P, C) and coarse logits (N, P, K) of P points to their logits (N, P, K)."""
        x = features
        for layer in self.fc_layers:
            x = layer(torch.cat((x, coarse), dim=2))
        logits: Tensor = self.predictor(torch.cat((x, coarse), dim=2))
        return logits


class PointRend(nn.Module):
    """Subdivision of a logit map: upsample by two, decide the most uncertain pixels anew, repeat."""

    def __init__(self, feature_channels: int, num_classes: int) -> None:
        super().__init__()
        self.point_head = PointHead(feature_channels, num_classes)

    def forward(self, coarse: Tensor, features: Tensor, points: Tensor) -> Tensor:
        """Logits (N, P, K) at `points` (N, P, 2: x, y in 0..1) of maps (N, K, h, w) and (N, C, h, w)."""
        around = Neighbours.of(points, features.shape[2], features.shape[3])
        logits: Tensor = self.point_head(around.blend(features), around.blend(coarse).to(features.dtype))
        return logits

    def subdivide(self, coarse: Tensor, features: Tensor, steps: int, refined: int) -> Tensor:
        """Coarse logits (N, K, h, w) to (N, K, h * 2**steps, w * 2**steps).

        `refined` points are decided anew in each step.
        """
        logits = coarse
        for _ in range(steps):
            logits = F.interpolate(logits, scale_factor=2.0, mode="bilinear", align_corners=False)
            n, k, height, width = logits.shape
            picked = most_uncertain(logits, refined)  # (N, P), row-major pixel numbers
            x = (picked % width + 0.5) / width
            y = (picked // width + 0.5) / height
            decided = self(coarse, features, torch.stack((x, y), dim=2))  # (N, P, K)
            flat = logits.reshape(n, k, height * width)
            index = picked[:, None].expand(n, k, -1)
            flat = flat.scatter(2, index, decided.transpose(1, 2).to(flat.dtype))
            logits = flat.view(n, k, height, width)
        return logits


def share_of_points(tile: int, image: int) -> int:
    """How many points of a tile of `tile` pixels are decided anew, of an image of `image` pixels.

    The borders of objects are as fine in every tile as in the whole, and in large images as in small ones.
    """
    return max(1, round(REFINED_POINTS * tile / min(image, _SHARP_AREA)))


def most_uncertain(logits: Tensor, count: int) -> Tensor:
    """Row-major numbers (N, P) of the `count` pixels of (N, K, H, W) nearest to a change of class."""
    n, classes, height, width = logits.shape
    if classes == 1:
        margin = logits.abs()
    else:
        best = logits.topk(2, dim=1).values  # (N, 2, H, W)
        margin = best[:, 0] - best[:, 1]
    count = min(count, height * width)
    return torch.stack([_smallest(values, count) for values in margin.reshape(n, -1)])


def _smallest(values: Tensor, count: int) -> Tensor:
    """Where the `count` smallest of `values` (P) are, in no order."""
    if values.is_cpu:  # a GPU selects fast, and would have to be waited for
        numbers = values.float().numpy()
        candidates = _at_most_a_bound(numbers, count)
        if len(candidates) >= count:
            chosen = np.argpartition(numbers[candidates], count - 1)[:count]
            return torch.from_numpy(candidates[chosen])
    return values.topk(count, largest=False, sorted=False).indices


def _at_most_a_bound(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Where the smallest are, a little more than `count` as a sample says: most need no selection."""
    sample = values[::_THINNING]
    rank = int(_SPARE * count / _THINNING)
    if not 0 < rank < len(sample):
        return np.empty(0, np.int64)
    return np.flatnonzero(values <= np.partition(sample, rank - 1)[rank - 1])


@dataclass(frozen=True)
class Neighbours:
    """The four pixels around each of P points of a map, and how much each counts (bilinear)."""

    numbers: Tensor
    """(N, P, 4) of the pixels of N maps, row by row, one map after the other."""
    weights: Tensor
    """(N, P, 4) float32; 0 outside the map."""

    @classmethod
    def of(cls, points: Tensor, height: int, width: int) -> Self:
        """Of `points` (N, P, 2: x, y in 0..1). Pixel centres lie at (i + 0.5) / size."""
        x, y = points[..., :1] * width - 0.5, points[..., 1:] * height - 0.5  # (N, P, 1)
        column = x.floor() + torch.tensor([0, 1, 0, 1], device=points.device)
        row = y.floor() + torch.tensor([0, 0, 1, 1], device=points.device)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        weights = (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside
        first = torch.arange(len(points), device=points.device)[:, None, None] * (height * width)
        numbers = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        return cls(first + numbers, weights)

    def blend(self, maps: Tensor) -> Tensor:
        """Values (N, P, C) of `maps` (N, C, h, w) at the points."""
        n, channels, _, _ = maps.shape
        # A weighted bag of four rows per point: one pass over memory, where a point's channels lie together.
        values = F.embedding_bag(
            self.numbers.view(-1, 4),
            maps.permute(0, 2, 3, 1).reshape(-1, channels),
            mode="sum",
            per_sample_weights=self.weights.view(-1, 4).to(maps.dtype),
        )
        return values.view(n, -1, channels)
