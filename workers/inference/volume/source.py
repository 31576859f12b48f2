"""Where a volume's grey values come from: slices along any of the three axes, read when they are wanted."""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Greys = npt.NDArray[Any]  # bool, uint8, uint16, int16 or float32


class VolumeSource(Protocol):
    """A volume (Z, Y, X) that is larger than memory."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Z, Y, X."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """bool, uint8, uint16, int16 or float32."""

    def planes(self, axis: int, begin: int, end: int) -> Greys:
        """Slices `begin` to `end` - 1 along `axis`, as (n, H, W): axis 0 (xy) gives (n, Y, X), 1 (xz)
        (n, Z, X), 2 (yz) (n, Z, Y). Not to be written to. Only a few slices are asked for at once, in order.
        """


class BlackAndWhiteVolume:
    """A bool volume as grey values: 0 and 255."""

    def __init__(self, source: VolumeSource) -> None:
        self._source = source
        self.shape = source.shape
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)

    def planes(self, axis: int, begin: int, end: int) -> Greys:
        return self._source.planes(axis, begin, end).astype(np.uint8) * np.uint8(255)
