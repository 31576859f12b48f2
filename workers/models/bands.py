"""Bands: layers run over a few rows at a time, so that what lies between them stays in the cache."""

import torch
from torch import Tensor, nn

_BAND_BYTES = 1 << 21  # of the input, for each thread: about what the second-level cache of a processor holds
_LEAST_ROWS = 8


class RowBands(nn.Module):
    """A k x k convolution that keeps the size, then layers that see single pixels, in bands of rows.

    Takes a map (N, C, H, W); the result is that of the whole.
    """

    def __init__(self, reach: int, first: nn.Module, *rest: nn.Module) -> None:
        """`first` looks `reach` rows up and down."""
        super().__init__()
        self._reach = reach
        self.first = first
        self.rest = nn.Sequential(*rest)

    def forward(self, x: Tensor) -> Tensor:
        height, rows = x.shape[2], _rows_at_once(x)
        if rows >= height:
            return self._band(x, 0, height)
        y = self._band(x, 0, rows)
        n, channels, _, width = y.shape
        whole = torch.empty(
            (n, channels, height, width), dtype=y.dtype, device=y.device, memory_format=torch.channels_last
        )
        whole[:, :, :rows] = y
        for y0 in range(rows, height, rows):
            y1 = min(y0 + rows, height)
            whole[:, :, y0:y1] = self._band(x, y0, y1)
        return whole

    def _band(self, x: Tensor, y0: int, y1: int) -> Tensor:
        """Rows y0 to y1 - 1 of the result."""
        above, below = min(self._reach, y0), min(self._reach, x.shape[2] - y1)
        seen = self.first(x[:, :, y0 - above : y1 + below])
        y: Tensor = self.rest(seen[:, :, above : above + y1 - y0])
        return y


def _rows_at_once(x: Tensor) -> int:
    row_bytes = x.nbytes // x.shape[2]
    return max(_LEAST_ROWS, torch.get_num_threads() * _BAND_BYTES // row_bytes)
