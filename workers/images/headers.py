"""Opens an image file by its first bytes and reads its header."""

from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from emserve.errors import EmserveError, UnreadableImage, UnsuitableImage, UnsupportedMediaType
from emserve.jobs import ImageHeader, ImageSource
from workers.images import archive
from workers.images.grey import Limits, choose
from workers.images.jpeg import JpegReader
from workers.images.mrc import MrcReader, is_mrc
from workers.images.png import PngReader
from workers.images.png_rows import SIGNATURE
from workers.images.reader import ImageReader
from workers.images.tiff import TiffReader
from workers.images.zarr_metadata import is_zarr
from workers.images.zarr_reader import ZarrReader
from workers.images.zipped_slices import ZippedSlices

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG_MAGIC = b"\xff\xd8\xff"
_START_BYTES = 256


def open_image(file: BinaryIO, max_pages: int | None = None) -> ImageReader:
    """A reader of `file`, whose structure it has checked; without `max_pages` one of any number of pages,
    that was accepted before.

    Raises UnsupportedMediaType, UnreadableImage when the file is damaged or cut off, UnsuitableImage,
    TooManyPages."""
    file.seek(0)
    start = file.read(_START_BYTES)
    is_zip = start.startswith(archive.MAGIC)
    reader = partial(_open_zip, max_pages=max_pages) if is_zip else _reader_for(start, max_pages)
    return _opened(reader, file)


def _opened(reader: Callable[[BinaryIO], ImageReader], file: BinaryIO) -> ImageReader:
    try:
        return reader(file)
    except (EmserveError, MemoryError):
        raise
    except Exception as error:  # of a damaged structure, libraries raise whatever comes to mind
        raise UnreadableImage("The image's structure is damaged: save the image again.") from error


def _reader_for(start: bytes, max_pages: int | None) -> Callable[[BinaryIO], ImageReader]:
    if start.startswith(_TIFF_MAGIC):
        return partial(TiffReader, max_pages=max_pages)
    if start.startswith(SIGNATURE):
        return PngReader
    if start.startswith(_JPEG_MAGIC):
        return JpegReader
    if is_mrc(start):
        return MrcReader
    raise UnsupportedMediaType(
        "The file's first bytes are those of no image that this server reads: send a TIFF (classic, BigTIFF, "
        "OME or ImageJ), an MRC, a PNG or a JPEG, or a zip of slices or of an OME-Zarr."
    )


def _open_zip(file: BinaryIO, max_pages: int | None) -> ImageReader:
    entries = archive.Archive(file)
    return ZarrReader(entries) if is_zarr(entries) else ZippedSlices(entries, _open_slice, max_pages)


def _open_slice(file: BinaryIO) -> ImageReader:
    """As `open_image`, but no zip in a zip."""
    start = file.read(_START_BYTES)
    if start.startswith(archive.MAGIC):
        raise UnsuitableImage("This is a zip again: put the slices themselves into the zip.")
    return _opened(_reader_for(start, None), file)


def inspect(
    file: BinaryIO, source: ImageSource, limits: Limits | None = None, max_pages: int | None = None
) -> ImageHeader:
    """What `file`'s header says of the grey image or volume that `source` means. Raises what `open_image` and
    `choose` raise."""
    return choose(open_image(file, max_pages).found, source, limits).header
