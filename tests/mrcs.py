"""MRC files that tests make."""

import struct
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

MODES = {"int8": 0, "uint8": 0, "int16": 1, "float32": 2, "complex64": 4, "uint16": 6, "float16": 12}
IMOD = 1146047817


@dataclass(frozen=True)
class MrcOptions:
    """What a header says beside the size and the mode."""

    order: Literal["<", ">"] = "<"
    cell_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """x, y, z."""
    largest: float = 0.0
    extended: bytes = b""
    imod: tuple[int, int] = (0, 0)
    """Stamp and flags."""
    magic: bytes = b"MAP "
    stamp: bytes = b""
    """Empty: the one that fits the order."""


def mrc(pixels: NDArray[Any], options: MrcOptions | None = None) -> bytes:
    """(Y, X) or (Z, Y, X) as an MRC file, its rows as they lie in the array."""
    options = options or MrcOptions()
    order = options.order
    ny, nx = pixels.shape[-2:]
    nz = pixels.shape[0] if pixels.ndim == 3 else 1
    header = bytearray(1024)
    struct.pack_into(order + "4i", header, 0, nx, ny, nz, MODES[pixels.dtype.name])
    struct.pack_into(order + "3i3f", header, 28, nx, ny, nz, *options.cell_angstrom)
    struct.pack_into(order + "3i3f", header, 64, 1, 2, 3, 0.0, options.largest, 0.0)
    struct.pack_into(order + "i", header, 92, len(options.extended))
    struct.pack_into(order + "i", header, 108, 20141)
    struct.pack_into(order + "2i", header, 152, *options.imod)
    stamp = options.stamp or {"<": b"\x44\x44\0\0", ">": b"\x11\x11\0\0"}[order]
    header[208:216] = options.magic + stamp
    return bytes(header) + options.extended + pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
