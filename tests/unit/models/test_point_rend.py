"""PointRend picks the least certain pixels, and reads maps at points."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows
from torch import Tensor

from workers.models.point_rend import Neighbours, most_uncertain


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


def in_one_column() -> Tensor:
    """Certain but for one column of many."""
    logits = 5 + random(1, 1, 170, 170).abs()
    logits[..., 17] = random(170) / 10
    return logits


@pytest.mark.parametrize(
    "logits",
    [
        random(2, 1, 130, 70),
        random(1, 3, 64, 64),
        random(1, 1, 300, 300).round(),  # ties
        torch.zeros(1, 1, 90, 90),
        random(1, 1, 90, 90).sort(dim=3).values,
        in_one_column(),
    ],
    ids=["batch", "classes", "ties", "constant", "sorted", "one column"],
)
@pytest.mark.parametrize("count", [1, 50, 1000, 1 << 20])
def test_the_least_certain_pixels_are_picked_each_once(logits: Tensor, count: int) -> None:
    n, classes, height, width = logits.shape
    best = logits.sort(dim=1, descending=True).values
    margin = (best[:, 0] - best[:, 1] if classes > 1 else logits.abs()).reshape(n, -1)
    picked = most_uncertain(logits, count)
    assert picked.shape == (n, min(count, height * width))
    for numbers, margins in zip(picked, margin, strict=True):
        assert len(numbers.unique()) == len(numbers)
        torch.testing.assert_close(
            margins[numbers].sort().values, margins.sort().values[: len(numbers)], atol=0, rtol=0
        )


@pytest.mark.parametrize("shape", [(2, 5, 7, 9), (1, 1, 1, 1), (1, 3, 1, 6)])
def test_maps_are_read_between_their_pixels_and_are_zero_outside(shape: tuple[int, ...]) -> None:
    maps = random(*shape)
    points = torch.rand(shape[0], 200, 2, generator=torch.Generator().manual_seed(2))
    expected = F.grid_sample(maps, 2 * points[:, :, None] - 1, align_corners=False)[..., 0]  # (N, C, P)
    found = Neighbours.of(points, *shape[2:]).blend(maps)
    torch.testing.assert_close(found, expected.transpose(1, 2), atol=1e-5, rtol=1e-5)
