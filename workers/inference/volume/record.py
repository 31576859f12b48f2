"""Records: all that is kept of the network's answer to a slice, and how a range of them becomes bytes."""

import io
import zipfile
from dataclasses import dataclass
from typing import Any, Self

import imagecodecs
import numpy as np
import numpy.typing as npt

_DAMAGE = (RuntimeError, EOFError, OSError, ValueError, KeyError, zipfile.BadZipFile)
"""What zstd (a RuntimeError), zip and numpy raise of bytes that were cut off or changed."""
_COMPRESSION = 1  # zstd's quickest: cells and bits are mostly repetition
_FIELDS = ("evidence", "cells", "heights")


class DamagedRecord(Exception):
    """Bytes that hold no range of slices, as of a file that a power cut left empty."""


@dataclass(frozen=True)
class SliceRecord:
    """What the join needs to know of one slice of (H, W) pixels.

    The median and the threshold of one class may change places (a median of numbers is above a threshold
    where the median of "is above" says so), so a bit a pixel is enough for it.
    """

    evidence: npt.NDArray[Any]
    """(H, ceil(W / 8)) uint8, packed bits: where the only class is seen; of several classes
    (C, H, W) float32 probabilities."""
    cells: npt.NDArray[np.uint32]
    """(h, w) the centre, from 1, of each point of the heads' grid; (0, 0) where no instances are wanted."""
    heights: npt.NDArray[np.float32]
    """(K + 1,) the heat map at each centre; that of 0 is 0."""

    @property
    def has_bits(self) -> bool:
        return self.evidence.dtype == np.uint8


@dataclass(frozen=True)
class RangeRecord:
    """The slices of a range, in order."""

    slices: tuple[SliceRecord, ...]
    scale: int
    """Pixels of a slice per point of the heads' grid."""
    tile: int
    """Side of the tiles that slices were inferred in, 0 for none, and how many at once: less than was asked
    where the device has little memory."""
    batch: int

    def to_bytes(self) -> bytes:
        arrays: dict[str, npt.NDArray[Any]] = {"about": np.array([self.scale, self.tile, self.batch])}
        for index, each in enumerate(self.slices):
            arrays |= {f"{field}-{index}": getattr(each, field) for field in _FIELDS}
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as members:
            for name, array in arrays.items():
                with members.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        return bytes(imagecodecs.zstd_encode(file.getvalue(), _COMPRESSION))

    @classmethod
    def from_bytes(cls, entry: bytes) -> Self:
        """Raises DamagedRecord."""
        try:
            with np.load(io.BytesIO(imagecodecs.zstd_decode(entry)), allow_pickle=False) as file:
                scale, tile, batch = (int(each) for each in file["about"])
                count = sum(name.startswith("evidence") for name in file.files)
                slices = (SliceRecord(*(file[f"{field}-{n}"] for field in _FIELDS)) for n in range(count))
                return cls(tuple(slices), scale, tile, batch)
        except _DAMAGE as error:
            raise DamagedRecord(str(error)) from error
