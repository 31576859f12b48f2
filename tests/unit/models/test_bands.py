"""What is computed in bands of rows is what the whole gives."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from workers.models.bands import RowBands

WIDE = 4096  # so that a band is 8 rows


class _Rows(nn.Conv2d):
    """Remembers how many rows it was given at once."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.given: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.given.append(x.shape[2])
        return super().forward(x)


def maps(*shape: int) -> Tensor:
    made = torch.randn(*shape, generator=torch.Generator().manual_seed(1))
    return made.contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """More threads take larger bands."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize(("batch", "height"), [(1, 21), (2, 17), (1, 8), (1, 1)])
@torch.inference_mode()
def test_bands_give_what_the_whole_gives(kernel: int, batch: int, height: int) -> None:
    first, second = _Rows(48, kernel), nn.Conv2d(48, 3, 1)
    x = maps(batch, 48, height, WIDE)
    found = RowBands(kernel // 2, first, second)(x)
    assert max(first.given) <= 8 + 2 * (kernel // 2)
    torch.testing.assert_close(found, second(first(x)), atol=1e-5, rtol=1e-5)
    assert found.is_contiguous(memory_format=torch.channels_last)
