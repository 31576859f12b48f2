"""Reads MRC files (MRC2014): an image or a volume, its first row in the file being row 0."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal, Self

import numpy as np
from numpy.typing import NDArray

from emserve.errors import UnreadableImage, UnsuitableImage
from workers.images.grey import FoundImage, GreyImage
from workers.images.raw import RawArray

HEADER_BYTES = 1024
_MAGIC_PLACE, _MAGICS = 208, (b"MAP ", b"MAP\0")
_STAMP_PLACE = 212
_ORDERS: dict[int, Literal["<", ">"]] = {
    0x44: "<",
    0x11: ">",
}  # the stamp's first byte; of the others there are several habits
# Of the header's words: size, mode; intervals; cell; largest value; extended header; IMOD's two.
_LAYOUT = "4i12x3i3f28xf8xi56x2i"
_IMOD_STAMP = 1146047817  # "IMOD"
_IMOD_SIGNED_BYTES = 1
_LARGEST_SIGNED_BYTE = 127
_DTYPES = {1: "int16", 2: "float32", 6: "uint16", 12: "float16"}
_BYTES = 0
_OTHER_MODES = {3: "complex int16", 4: "complex float32", 16: "colours", 101: "4 bits"}
_ANGSTROMS_PER_NM = 10


def is_mrc(start: bytes) -> bool:
    """Whether a file that begins with `start`, 212 bytes or more of it, is an MRC."""
    return start[_MAGIC_PLACE:_STAMP_PLACE] in _MAGICS


@dataclass(frozen=True)
class MrcHeader:
    """What the header says that matters for grey values."""

    order: Literal["<", ">"]
    """Little- or big-endian, as `struct` and numpy write it."""
    columns: int
    rows: int
    sections: int
    mode: int
    intervals_zyx: tuple[int, int, int]
    """Into how many voxels the cell is divided."""
    cell_zyx_angstrom: tuple[float, float, float]
    largest_value: float
    """As the header says it; programs that do not know leave 0."""
    extended_bytes: int
    """Of the extended header, which lies between the header and the pixels."""
    imod_stamp: int
    imod_flags: int

    @classmethod
    def parse(cls, value: bytes) -> Self:
        """The header in the file's first HEADER_BYTES. Raises UnreadableImage."""
        if len(value) < HEADER_BYTES:
            raise UnreadableImage(
                f"The MRC has {len(value)} bytes and its header alone takes {HEADER_BYTES}; it was cut off: "
                "send the whole file."
            )
        order = _ORDERS.get(value[_STAMP_PLACE])
        if order is None:
            stamp = value[_STAMP_PLACE : _STAMP_PLACE + 4].hex(" ")
            raise UnreadableImage(
                f"The MRC's machine stamp is {stamp}, which is neither little-endian (44 44) nor big-endian "
                "(11 11): save the image again."
            )
        nx, ny, nz, mode, *rest = struct.unpack_from(order + _LAYOUT, value)
        mx, my, mz, cell_x, cell_y, cell_z, *rest = rest
        return cls(order, nx, ny, nz, mode, (mz, my, mx), (cell_z, cell_y, cell_x), *rest)

    @property
    def bytes_are_signed(self) -> bool:
        """Whether mode 0 means int8.

        IMOD's stamp comes with a flag that says so. Elsewhere the standard's int8 holds, unless the header
        names a largest value that no int8 has: such files were written before 2014, when bytes had no sign.
        """
        if self.imod_stamp == _IMOD_STAMP:
            return bool(self.imod_flags & _IMOD_SIGNED_BYTES)
        return not self.largest_value > _LARGEST_SIGNED_BYTE

    @property
    def stored(self) -> np.dtype[Any]:
        """Data type of the pixels in the file. Raises UnsuitableImage."""
        if self.mode == _BYTES:
            return np.dtype(np.int8 if self.bytes_are_signed else np.uint8)
        if self.mode not in _DTYPES:
            known = _OTHER_MODES.get(self.mode)
            raise UnsuitableImage(
                f"The MRC has mode {self.mode}{f' ({known})' if known else ''}; this server takes 0 (bytes), "
                "1 (int16), 2 (float32), 6 (uint16) and 12 (float16). Convert the image to one of them."
            )
        return np.dtype(_DTYPES[self.mode]).newbyteorder(self.order)

    @property
    def spacing_nm(self) -> dict[str, float]:
        """How far voxels are apart along Z, Y and X, as far as the cell says it.

        Exactly one angstrom is what programs write for want of a better one; so is one in Z alone.
        """
        sides = zip("ZYX", self.cell_zyx_angstrom, self.intervals_zyx, strict=True)
        spacing = {axis: side / count for axis, side, count in sides if count > 0}
        spacing = {axis: side for axis, side in spacing.items() if math.isfinite(side) and side > 0}
        if spacing.get("Y") == spacing.get("X") == 1:
            return {}
        if spacing.get("Z") == 1:
            del spacing["Z"]
        return {axis: side / _ANGSTROMS_PER_NM for axis, side in spacing.items()}


class MrcReader:
    """An MRC whose pixels are all there. Raises UnreadableImage when it is damaged or cut off,
    UnsuitableImage when its mode is not accepted.

    The first row in the file is row 0, as EM programs hand the array out; those that show it with the origin
    at the lower left show it upside down. MAPC and MAPR are not looked at: columns are x.
    """

    def __init__(self, file: BinaryIO) -> None:
        size_bytes = file.seek(0, 2)
        file.seek(0)
        self._header = header = MrcHeader.parse(file.read(HEADER_BYTES))
        sides = header.sections, header.rows, header.columns
        shape = sides if header.sections > 1 else sides[1:]
        self._pixels = RawArray(file, HEADER_BYTES + header.extended_bytes, shape, header.stored)
        self._check(sides, size_bytes)
        stored = header.stored.name
        self.found = FoundImage(
            format="mrc",
            shape=shape,
            axes="ZYX" if header.sections > 1 else "YX",
            dtype={"int8": "uint8", "float16": "float32"}.get(stored, stored),
            spacing_nm=header.spacing_nm,
        )

    def _check(self, sides: tuple[int, ...], size_bytes: int) -> None:
        """The sizes make sense, and the file holds as many pixels as they say."""
        extended_bytes = self._header.extended_bytes
        if min(sides) < 1 or extended_bytes < 0:
            raise UnreadableImage(
                f"The MRC's header is damaged: it speaks of {' x '.join(map(str, sides))} pixels behind an "
                f"extended header of {extended_bytes} bytes. Save the image again."
            )
        needed = self._pixels.begin + math.prod(sides) * self._pixels.stored.itemsize
        if needed > size_bytes:
            raise UnreadableImage(
                f"The MRC has {size_bytes} bytes and needs {needed} for what its header says; it was cut "
                "off: send the whole file."
            )

    def bands(self, image: GreyImage) -> Iterator[NDArray[Any]]:
        """Signed bytes come 128 higher, as uint8."""
        for band in self._pixels.bands(image, image.axes):
            yield band.view(np.uint8) ^ np.uint8(128) if self._pixels.stored == np.int8 else band
