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
from emserve.extras import how_to_install
from emserve.naming import IMAGE_SUFFIXES, ZARR_ROOT_FILES, some_of

Image = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | NDArray[Any]
"""A path; the bytes of an image file, or a binary file that holds them; a folder of slices or
of an OME-Zarr; or grey values of shape (H, W) or (Z, H, W), whose data type the server judges."""
OnBytes = Callable[[int, int | None], None]
"""Is told after each piece how many bytes were sent and how many there are (None: unknown)."""

CHUNK_BYTES = 1 << 18
_CHANNELS = (1, 2, 3, 4)  # of a pixel: such an array's channels would be taken for columns


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

    Raises UnusableImage for what is no image, MissingPackage for an array, OSError for a path that cannot be
    read.
    """
    if isinstance(image, str) and not image:
        raise UnusableImage("The path of the image is empty.")
    if isinstance(image, np.ndarray):
        with tempfile.NamedTemporaryFile(suffix=".tif") as file:  # tifffile wants a file with a name
            _write_tiff(file, image)
            file.seek(0)
            yield Payload(file, filename or "image.tif", _remaining(file), on_bytes)
    elif isinstance(image, str | os.PathLike) and Path(image).is_dir():
        path = Path(image).resolve()
        with tempfile.TemporaryFile() as packed:
            _pack(path, _files_of(path), packed)
            packed.seek(0)
            yield Payload(packed, filename or f"{path.name}.zip", _remaining(packed), on_bytes)
    elif isinstance(image, str | os.PathLike):
        path = Path(image)
        with path.open("rb") as opened:
            yield Payload(opened, filename or path.name, _remaining(opened), on_bytes)
    elif isinstance(image, bytes | bytearray | memoryview):
        value = bytes(image)
        yield Payload(io.BytesIO(value), filename or "image", len(value), on_bytes)
    else:
        _require_binary(image)
        name = getattr(image, "name", None)
        named = Path(name).name if isinstance(name, str) else "image"
        yield Payload(image, filename or named, _remaining(image), on_bytes)


def _require_binary(given: object) -> None:
    """Raises UnusableImage for what is no binary file, whatever it is."""
    if not hasattr(given, "read") or isinstance(given, io.TextIOBase):
        kind = "a file in text mode" if hasattr(given, "read") else type(given).__name__
        raise UnusableImage(
            'An image is a path, the bytes of an image file, a file opened with "rb", or an array of grey '
            f"values; this is {kind}."
        )


def _write_tiff(file: IO[bytes], array: NDArray[Any]) -> None:
    """`array`, (H, W) or (Z, H, W), as an uncompressed TIFF, the one form that keeps every data type the
    service takes."""
    has_channels = array.ndim == 3 and array.shape[-1] in _CHANNELS
    if array.ndim not in (2, 3) or array.size == 0 or has_channels:
        raise UnusableImage(
            f"An array has the shape (H, W), of a volume (Z, H, W), and at least one pixel; this one is "
            f"{array.shape}. Pick one channel, such as `array[..., 0]`, or give a file."
        )
    if isinstance(array, np.ma.MaskedArray) and np.ma.getmaskarray(array).any():
        raise UnusableImage("An array's mask cannot be sent: fill what it hides, such as `array.filled(0)`.")
    try:
        import tifffile
    except ImportError as error:
        raise MissingPackage(
            f"An array is sent as a TIFF, which needs tifffile: {how_to_install('images')} brings it. "
            "A file can be sent without it."
        ) from error
    try:
        axes: dict[str, Any] = (
            {"ome": True, "metadata": {"axes": "ZYX"}} if array.ndim == 3 else {"metadata": None}
        )
        tifffile.imwrite(file, array, photometric="minisblack", **axes)
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableImage(f"An array of {array.dtype} cannot be written as a TIFF: {error}.") from error


def _files_of(folder: Path) -> list[Path]:
    """The slices below a folder, or all files of the Zarr that it is or holds.

    Raises UnusableImage where it is neither, so that nobody sends what happens to lie somewhere, and where
    it is several; OSError.
    """
    if is_zarr(folder):
        return _files_below(folder)
    files = [path for path in _files_below(folder) if not _is_hidden(path, folder)]
    zarrs = [place for place in sorted(folder.iterdir()) if is_zarr(place) and not _is_hidden(place, folder)]
    slices = [
        path
        for path in files
        if path.suffix.lower() in IMAGE_SUFFIXES and not any(map(path.is_relative_to, zarrs))
    ]
    if len(zarrs) + bool(slices) > 1:
        names = some_of(place.name for place in (*zarrs, *slices))
        raise UnusableImage(f"{folder} holds more than one image: {names}. Give the one that is meant.")
    if not zarrs and not slices:
        raise UnusableImage(
            f"{folder} is a folder and neither an OME-Zarr nor one of slices: nothing in it ends in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    return slices or _files_below(zarrs[0])


def _files_below(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def is_zarr(folder: Path) -> bool:
    """Whether a folder is the root of a Zarr."""
    return any((folder / name).is_file() for name in ZARR_ROOT_FILES)


def _is_hidden(path: Path, below: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(below).parts)


def _pack(folder: Path, files: list[Path], file: IO[bytes]) -> None:
    """A zip of these files of a folder, which are not packed again. Raises OSError."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in files:
            archive.write(path, path.relative_to(folder))


def _remaining(file: IO[bytes]) -> int | None:
    """Bytes from here to the file's end."""
    if not file.seekable():
        return None
    here = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(here)
    return end - here
