"""PointRend: logits refined at the most uncertain points (Kirillov et al. 2020, arXiv:1912.08193)."""

import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor, nn

REFINED_POINTS = 8192
"""Pixels that are decided anew in each step, of an image of up to 1024 x 1024."""

_SHARP_AREA = 1024 * 1024
HIDDEN_LAYERS = 3


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
        """Logits (N, P, K) at `points` (N, P, 2: x, y in 0..1) from maps (N, K, h, w) and (N, C, h, w)."""
        logits: Tensor = self.point_head(sample(features, points), sample(coarse, points).to(features.dtype))
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
    return margin.reshape(n, -1).topk(count, dim=1, largest=False, sorted=False).indices


def sample(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinear values (N, P, C) of `maps` (N, C, h, w) at `points` (N, P, 2: x, y in 0..1).

    Pixel centres lie at (i + 0.5) / size; outside the map everything is zero.
    """
    n, channels, height, width = maps.shape
    rows = maps.permute(0, 2, 3, 1).reshape(n * height * width, channels)
    x = points[..., 0] * width - 0.5  # (N, P)
    y = points[..., 1] * height - 0.5
    x0, y0 = x.floor(), y.floor()
    first = torch.arange(n, device=maps.device)[:, None] * (height * width)
    numbers, weights = [], []
    for corner_y, corner_x in ((0, 0), (0, 1), (1, 0), (1, 1)):
        cx, cy = x0 + corner_x, y0 + corner_y
        inside = (cx >= 0) & (cx < width) & (cy >= 0) & (cy < height)
        weights.append((1 - (x - cx).abs()) * (1 - (y - cy).abs()) * inside)
        column, row = cx.clamp(0, width - 1).long(), cy.clamp(0, height - 1).long()
        numbers.append(first + row * width + column)
    # A weighted bag of four rows per point: one pass over memory, where a point's channels lie together.
    values = F.embedding_bag(
        torch.stack(numbers, dim=2).view(-1, 4),
        rows,
        mode="sum",
        per_sample_weights=torch.stack(weights, dim=2).view(-1, 4).to(rows.dtype),
    )
    return values.view(n, -1, channels)
