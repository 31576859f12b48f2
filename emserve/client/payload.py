"""An image on its way to the service: whatever form its caller has it in, as a file to be read in pieces."""

import io
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from emserve.client.errors import MissingPackage, UnusableImage

Image = str | os.PathLike[str] | bytes | BinaryIO | NDArray[Any]  # the server judges the data type
"""A path; the bytes of an image file, or a binary file that holds them; a folder of slices or
of an OME-Zarr; or grey values of shape (H, W) or (Z, H, W)."""
OnBytes = Callable[[int, int | None], None]
"""Is told after each piece how many bytes were sent and how many there are (None: unknown)."""

CHUNK_BYTES = 1 << 18
_COLOURS = (3, 4)  # channels of a colour image, which would be taken for columns


@dataclass(frozen=True)
class Payload:
    """A file to send, from where it stands to its end."""

    file: IO[bytes]
    filename: str
    total: int | None
    """Bytes; None when the file cannot tell."""
    on_bytes: OnBytes | None = None

    def sent(self, count: int) -> None:
        if self.on_bytes is not None:
            self.on_bytes(count, self.total)


@contextmanager
def open_payload(image: Image, filename: str | None, on_bytes: OnBytes | None) -> Iterator[Payload]:
    """`image` as a file; files that were opened here are closed again.

    Raises UnusableImage or MissingPackage for an array, OSError for a path that cannot be read.
    """
    if isinstance(image, np.ndarray):
        with tempfile.NamedTemporaryFile(suffix=".tif") as file:  # tifffile wants a file with a name
            _write_tiff(file, image)
            file.seek(0)
            yield Payload(file, filename or "image.tif", _remaining(file), on_bytes)
    elif isinstance(image, str | os.PathLike) and Path(image).is_dir():
        path = Path(image).resolve()
        with tempfile.TemporaryFile() as packed:
            _pack(path, packed)
            packed.seek(0)
            yield Payload(packed, filename or f"{path.name}.zip", _remaining(packed), on_bytes)
    elif isinstance(image, str | os.PathLike):
        path = Path(image)
        with path.open("rb") as opened:
            yield Payload(opened, filename or path.name, _remaining(opened), on_bytes)
    elif isinstance(image, bytes):
        yield Payload(io.BytesIO(image), filename or "image", len(image), on_bytes)
    else:
        name = getattr(image, "name", None)
        named = Path(name).name if isinstance(name, str) else "image"
        yield Payload(image, filename or named, _remaining(image), on_bytes)


def _write_tiff(file: IO[bytes], array: NDArray[Any]) -> None:
    """`array`, (H, W) or (Z, H, W), as an uncompressed TIFF, the one form that keeps every data type the
    service takes."""
    is_colour = array.ndim == 3 and array.shape[-1] in _COLOURS
    if array.ndim not in (2, 3) or array.size == 0 or is_colour:
        raise UnusableImage(
            f"An array has the shape (H, W), of a volume (Z, H, W), and at least one pixel; this one is "
            f"{array.shape}. Pick one channel, or give a file."
        )
    try:
        import tifffile
    except ImportError as error:
        raise MissingPackage(
            "An array is sent as a TIFF, which needs tifffile: `pip install 'emserve[images]'`. "
            "A file can be sent without it."
        ) from error
    try:
        axes: dict[str, Any] = (
            {"ome": True, "metadata": {"axes": "ZYX"}} if array.ndim == 3 else {"metadata": None}
        )
        tifffile.imwrite(file, array, photometric="minisblack", **axes)
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableImage(f"An array of {array.dtype} cannot be written as a TIFF: {error}.") from error


def _pack(folder: Path, file: IO[bytes]) -> None:
    """A zip of a folder of slices, or of a Zarr; its files are not packed again. Raises OSError."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder))


def _remaining(file: IO[bytes]) -> int | None:
    """Bytes from here to the file's end."""
    if not file.seekable():
        return None
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end - here
