"""Where the slices of a phantom lie in its tissue."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Frame:
    """The block of tissue that is imaged. Points are (z, y, x) in nanometres from its first corner."""

    shape: tuple[int, int, int]
    """Slices, rows, columns."""
    slice_nm: float
    """From one slice to the next."""
    pixel_nm: float
    """Side of a pixel."""

    @property
    def plane(self) -> tuple[int, int]:
        """Rows and columns of a slice."""
        return self.shape[1], self.shape[2]

    @property
    def extent_nm(self) -> NDArray[np.float64]:
        """(3,) size of the block; a single slice has no thickness."""
        z, y, x = self.shape
        return np.array([(z - 1) * self.slice_nm, y * self.pixel_nm, x * self.pixel_nm])

    @property
    def planes_nm(self) -> NDArray[np.float64]:
        """Heights at which the block is looked through to see how full it is."""
        depth = float(self.extent_nm[0])
        return np.linspace(0, depth, min(5, self.shape[0]))

    @property
    def area_um2(self) -> float:
        """Area of a slice in square micrometres."""
        return float(np.prod(self.extent_nm[1:])) / 1e6

    def most(self, count: int) -> int:
        """`count`, which bounds the time for an image of 512 x 512, in proportion for larger ones."""
        return int(count * max(1.0, self.shape[1] * self.shape[2] / 512**2))

    def px(self, nanometres: float) -> float:
        return nanometres / self.pixel_nm

    def rows_nm(self, rows: slice) -> NDArray[np.float64]:
        """(h,) middles of the pixels of some rows (or columns)."""
        return (np.arange(rows.start, rows.stop) + 0.5) * self.pixel_nm

    def window(self, low_nm: NDArray[np.float64], high_nm: NDArray[np.float64]) -> Window | None:
        """The pixels between two corners (y, x); None when less than three rows or columns are seen."""
        low = np.maximum(np.floor(low_nm / self.pixel_nm), 0).astype(int)
        high = np.minimum(np.ceil(high_nm / self.pixel_nm), self.plane).astype(int)
        if np.any(high - low < 3):
            return None
        return slice(low[0], high[0]), slice(low[1], high[1])

    def scatter(self, rng: np.random.Generator, count: int, reach_nm: float = 0.0) -> NDArray[np.float64]:
        """(count, 3) points in the block or at most `reach_nm` outside."""
        return rng.uniform(-reach_nm, self.extent_nm + reach_nm + 1e-9, (count, 3))
