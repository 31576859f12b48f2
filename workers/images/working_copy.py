"""Decodes slices of a volume into its working copy: bricks, from which planes along every axis are cheap."""

import time
from pathlib import Path
from typing import BinaryIO

from emserve.errors import UnsuitableImage
from emserve.imaging import Copied
from emserve.jobs import ImageSource
from emserve.volumes import BRICK
from workers.images.bands import gathered, placed_bands
from workers.images.bricks import Bricks
from workers.images.grey import GreyImage, choose
from workers.images.headers import open_image
from workers.images.reader import BlockReader, ImageReader

SECONDS = 5.0


def copy_slices(
    file: BinaryIO, source: ImageSource, out: Path, begin: int, seconds: float = SECONDS
) -> Copied:
    """Writes slices from `begin` on of the volume (Z, Y, X) that `source` means to the bricks in `out`, which
    is made where it is not there: until `seconds` are over, and at least one. No more is held than a strip
    of a slice, as far as the file lets one decode strips.

    Raises UnreadableImage when the pixels are damaged, and what `inspect` raises."""
    reader = open_image(file)
    deadline = time.monotonic() + seconds  # from here on: to open a file that is far away may take as long
    volume = choose(reader.found, source)
    if not volume.is_volume:
        raise UnsuitableImage("The file holds a single image, and a volume is needed.")
    depth, height, width = volume.header.shape
    with Bricks(out, (depth, height, width), volume.header.dtype) as bricks:
        while begin < depth:
            begin = _copy_next(reader, volume, bricks, begin)
            if time.monotonic() > deadline:
                break
    return Copied(shape=(depth, height, width), dtype=volume.header.dtype, copied_until=begin)


def _copy_next(reader: ImageReader, volume: GreyImage, bricks: Bricks, z: int) -> int:
    """Copies slice z, or all that are stored together with it; the one that follows."""
    if not isinstance(reader, BlockReader):
        _copy_slice(reader, volume.slice(z), bricks, z)
        return z + 1
    end = min(bricks.shape[0], z + reader.depth(volume) - z % reader.depth(volume))
    for (y0, x0), block in reader.blocks(volume, (z, end), BRICK):
        for number, part in enumerate(block):
            bricks.write(z + number, y0, x0, part)
    return end


def _copy_slice(reader: ImageReader, image: GreyImage, bricks: Bricks, z: int) -> None:
    for place, band in gathered(placed_bands(reader, image, f"the pixels of slice {z}"), BRICK):
        if image.is_turned:
            bricks.write(z, 0, place, band.T)
        else:
            bricks.write(z, place, 0, band)
