"""Decodes slices of a volume into its working copy: bricks, from which planes along every axis are cheap."""

from pathlib import Path
from typing import BinaryIO

from emserve.errors import UnsuitableImage
from emserve.imaging import Decoded
from emserve.jobs import ImageSource
from emserve.volumes import BRICK
from workers.images.bands import gathered, placed_bands
from workers.images.bricks import Bricks
from workers.images.grey import GreyImage, choose
from workers.images.headers import open_image
from workers.images.reader import BlockReader, ImageReader


def copy_slices(file: BinaryIO, source: ImageSource, out: Path, slices: tuple[int, int]) -> Decoded:
    """Writes slices z0 to z1 - 1 of the volume (Z, Y, X) that `source` means to the bricks in `out`, which
    is made where it is not there. No more is held than a strip of a slice, as far as the file lets one
    decode strips.

    Raises UnreadableImage when the pixels are damaged, and what `inspect` raises."""
    reader = open_image(file)
    volume = choose(reader.found, source)
    if not volume.is_volume:
        raise UnsuitableImage("The file holds a single image, and a volume is needed.")
    depth, height, width = volume.header.shape
    with Bricks(out, (depth, height, width), volume.header.dtype) as bricks:
        if isinstance(reader, BlockReader):
            for (z, y0, x0), block in reader.blocks(volume, slices, BRICK):
                for offset, part in enumerate(block):
                    bricks.write(z + offset, y0, x0, part)
        else:
            for z in range(*slices):
                _copy(reader, volume.slice(z), bricks, z)
    return Decoded(path=out, shape=volume.header.shape, dtype=volume.header.dtype)


def _copy(reader: ImageReader, image: GreyImage, bricks: Bricks, z: int) -> None:
    for place, band in gathered(placed_bands(reader, image, f"the pixels of slice {z}"), BRICK):
        if image.is_turned:
            bricks.write(z, 0, place, band.T)
        else:
            bricks.write(z, place, 0, band)
