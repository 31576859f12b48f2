"""What training minimises: hard-pixel mask loss, centre heat map, offsets, PointRend's points, kinds.

Panoptic-DeepLab (Cheng et al., CVPR 2020); PointRend (Kirillov et al., CVPR 2020).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossWeights:
    """How much each part counts; offsets are in pixels, so theirs is small."""

    semantic: float = 2.0
    """Most of what a starter model gets wrong is its mask."""
    centre: float = 50.0
    offset: float = 0.1
    points: float = 1.0
    kinds: float = 0.5


def hard_pixel_loss(logits: Tensor, target: Tensor, hardest: float = 0.25) -> Tensor:
    """Mean cross entropy over the `hardest` share of each image's pixels; both (N, 1, H, W)."""
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1)
    kept = max(1, int(hardest * loss.shape[1]))
    return loss.topk(kept, dim=1, sorted=False).values.mean()


def kinds_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross entropy of (N, K, h, w) logits; `target` is (N, h, w) of 0 to K - 1."""
    return functional.cross_entropy(logits, target)


def centre_loss(heat: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of the centre heat map, both (N, 1, h, w)."""
    return functional.mse_loss(heat, target)


def offset_loss(offset: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Mean absolute error in pixels of (N, 2, h, w) offsets, where `inside` (N, 1, h, w) is 1."""
    error = (offset - target).abs() * inside
    return error.sum() / (2 * inside.sum()).clamp(min=1)


def choose_points(coarse: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """(N, count, 2) points (x, y in 0..1): three quarters where `coarse` (N, 1, h, w) is least sure."""
    batch = coarse.shape[0]
    candidates = torch.rand(batch, 3 * count, 2, generator=generator).to(coarse.device)
    doubt = -sample_points(coarse, candidates).abs().squeeze(1)  # (N, 3 count)
    unsure = int(0.75 * count)
    index = doubt.topk(unsure, dim=1, sorted=False).indices
    chosen = candidates.gather(1, index.unsqueeze(-1).expand(-1, -1, 2))
    rest = torch.rand(batch, count - unsure, 2, generator=generator).to(coarse.device)
    return torch.cat([chosen, rest], dim=1)


def sample_points(values: Tensor, points: Tensor) -> Tensor:
    """(N, C, P): bilinear values of (N, C, h, w) at (N, P, 2) points (x, y in 0..1)."""
    grid = (2 * points - 1).unsqueeze(2)  # (N, P, 1, 2)
    return functional.grid_sample(values.float(), grid, align_corners=False).squeeze(3)


def point_loss(point_logits: Tensor, mask: Tensor, points: Tensor) -> Tensor:
    """Mean cross entropy of (N, 1, P) logits against the (N, 1, H, W) mask at `points`."""
    return functional.binary_cross_entropy_with_logits(point_logits.float(), sample_points(mask, points))
