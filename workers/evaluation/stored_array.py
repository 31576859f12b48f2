"""Arrays in files, read by slabs: TIFF, npy, MRC, PNG, and Zarr in a folder or a zip."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from math import prod
from pathlib import Path
from typing import Any, Protocol
from zipfile import ZipFile

import numpy as np
import tifffile
import zarr
from numpy.typing import NDArray
from PIL import Image
from zarr.storage import LocalStore, ZipStore

from emserve.errors import EmserveError
from workers.evaluation.overlaps import UnusableLabels, shown
from workers.images.archive import is_litter
from workers.images.imagej import planes_cut_off
from workers.images.mrc import HEADER_BYTES, MrcHeader, is_mrc
from workers.images.ome_planes import planes_lacking

SLAB_BYTES = 1 << 25
"""How much of an array is read at once, where its chunks allow it."""
_LARGEST_SLAB_BYTES = 1 << 30  # from here on, chunks are rather decoded several times
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_NPY_MAGIC = b"\x93NUMPY"
_ZIP_MAGIC = b"PK\x03\x04"
_ZARR_ROOT = {"zarr.json", ".zgroup", ".zarray"}
_SAMPLES = "S"  # the axis of red, green and blue
_KINDS = "TIFF, npy, PNG, MRC, or Zarr as a folder or a zip"


class _Sliceable(Protocol):
    """A numpy array, a memory map or a Zarr array."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> Any: ...  # a numpy data type, which zarr does not say

    def __getitem__(self, index: Any, /) -> Any: ...


class StoredArray:
    """An array of two or three axes in a file; others of one pixel are left out."""

    def __init__(self, path: Path, array: _Sliceable, chunk: int = 1) -> None:
        """`chunk` planes (in 2D: rows) are decoded together."""
        sides = array.shape
        self._axes = [at for at, side in enumerate(sides) if side != 1 or at >= len(sides) - 2]
        self._array = array
        self._chunk = chunk
        self.path = path
        self.shape = tuple(sides[at] for at in self._axes)
        """(Y, X) or (Z, Y, X)."""
        self.dtype: np.dtype[Any] = array.dtype
        if len(self.shape) not in (2, 3) or 0 in self.shape:
            raise UnusableLabels(
                f"{path} holds an array of {shown(sides) or 'no axes'}: images have two axes, or three."
            )

    def read(self, begin: int, end: int) -> NDArray[Any]:
        """Planes (in 2D: rows) `begin` to `end` - 1. Raises UnusableLabels where they cannot be decoded."""
        index: list[Any] = [0] * len(self._array.shape)
        for at in self._axes:
            index[at] = slice(None)
        index[self._axes[0]] = slice(begin, end)
        try:
            return np.asarray(self._array[tuple(index)])
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever comes to mind
            raise _unreadable(self.path, error) from error

    def slabs(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """From the first plane (in 2D: row) to the last, several at a time, and where they begin."""
        size = prod(self.shape[1:]) * self.dtype.itemsize
        thickness = max(self._chunk, SLAB_BYTES // size // self._chunk * self._chunk)
        thickness = max(1, min(thickness, _LARGEST_SLAB_BYTES // size))
        for begin in range(0, self.shape[0], thickness):
            yield begin, self.read(begin, min(begin + thickness, self.shape[0]))


@contextmanager
def open_array(path: Path) -> Iterator[StoredArray]:
    """The array in `path`, until the block ends. Raises UnusableLabels where there is none that can be read,
    OSError."""
    with ExitStack() as stack:
        yield _open(path, stack)


def _open(path: Path, stack: ExitStack) -> StoredArray:
    try:
        if path.is_dir():
            return _open_zarr(path, LocalStore(path, read_only=True))
        with path.open("rb") as file:
            start = file.read(HEADER_BYTES)
        return _open_file(path, start, stack)
    except (UnusableLabels, MemoryError):
        raise
    except EmserveError as error:
        raise UnusableLabels(f"{path} cannot be read. {error}") from error
    except Exception as error:  # of a damaged file, libraries raise whatever comes to mind
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the system's, not a decoder's
        raise _unreadable(path, error) from error


def _open_file(path: Path, start: bytes, stack: ExitStack) -> StoredArray:
    if start.startswith(_TIFF_MAGIC):
        return _open_tiff(path, stack)
    if start.startswith(_PNG_MAGIC):
        return _open_png(path)
    if start.startswith(_NPY_MAGIC):
        return StoredArray(path, np.load(path, mmap_mode="r", allow_pickle=False))
    if start.startswith(_ZIP_MAGIC):
        return _open_zip(path, stack)
    if is_mrc(start):
        return _open_mrc(path, MrcHeader.parse(start))
    raise UnusableLabels(f"{path} is no file that can be compared: save it as {_KINDS}.")


def _unreadable(path: Path, error: Exception) -> UnusableLabels:
    first, *_ = str(error).strip().splitlines() or [""]
    reason = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return UnusableLabels(
        f"{path} is damaged, or not what it seems, and cannot be read: copy it anew, or save it again as "
        f"{_KINDS}. Its reader said: {reason}"
    )


def _open_tiff(path: Path, stack: ExitStack) -> StoredArray:
    tiff = stack.enter_context(tifffile.TiffFile(path))
    first, *others = tiff.series
    if any(not (each.keyframe.is_reduced or each.keyframe.is_mask) for each in others):
        raise UnusableLabels(f"{path} holds several images: save the one that is meant as a file of its own.")
    if (reason := planes_cut_off(tiff, first) or planes_lacking(first)) is not None:
        raise UnusableLabels(f"{path}: {reason}")
    sides = zip(first.axes, first.shape, strict=True)
    if any(axis == _SAMPLES and side > 1 for axis, side in sides):
        raise _coloured(path)
    if first.dataoffset is not None:
        dtype = np.dtype(first.dtype).newbyteorder(tiff.byteorder)
        return StoredArray(path, np.memmap(path, dtype, "r", first.dataoffset, first.shape, "C"))
    array = zarr.open_array(first.aszarr(level=0), mode="r")
    return StoredArray(path, array, _chunk_of(array))


def _open_png(path: Path) -> StoredArray:
    Image.MAX_IMAGE_PIXELS = None  # files of one's own may be large
    with Image.open(path, formats=["PNG"]) as picture:
        array = np.asarray(picture)  # of a palette, the numbers of its colours
    if array.ndim != 2:
        raise _coloured(path)
    return StoredArray(path, array)


def _open_mrc(path: Path, header: MrcHeader) -> StoredArray:
    begin = HEADER_BYTES + header.extended_bytes
    shape = (header.sections, header.rows, header.columns)
    return StoredArray(path, np.memmap(path, header.stored, "r", begin, shape))


def _open_zip(path: Path, stack: ExitStack) -> StoredArray:
    """A zip of what is in a Zarr folder, or of the folder."""
    with ZipFile(path) as file:
        names = {name.split("/")[0] for name in file.namelist() if not is_litter(name)}
    inside = next(iter(names)) if len(names) == 1 and not names & _ZARR_ROOT else ""
    store = ZipStore(path, mode="r")
    stack.callback(store.close)
    return _open_zarr(path, store, inside)


def _open_zarr(path: Path, store: LocalStore | ZipStore, inside: str = "") -> StoredArray:
    """An array, or the largest level of an OME-Zarr image."""
    try:
        node = zarr.open(store, path=inside, mode="r")
    except FileNotFoundError as error:
        raise UnusableLabels(
            f"{path} holds no Zarr array. Files that can be compared are {_KINDS}."
        ) from error
    array = _largest_level(node) if isinstance(node, zarr.Group) else node
    if not isinstance(array, zarr.Array):
        raise UnusableLabels(f"{path} is a Zarr group without an image: name the folder of the array in it.")
    return StoredArray(path, array, _chunk_of(array))


def _largest_level(group: zarr.Group) -> Any:  # whatever lies there
    attributes = dict(group.attrs)
    described = attributes.get("ome", attributes)
    if isinstance(described, dict) and "multiscales" in described:
        return group.get(described["multiscales"][0]["datasets"][0]["path"])
    arrays = [array for _, array in group.arrays()]
    return arrays[0] if len(arrays) == 1 else None


def _chunk_of(array: Any) -> int:  # a Zarr array
    """How many planes (in 2D: rows) lie in one chunk."""
    sides = array.shape
    first = next((at for at, side in enumerate(sides) if side != 1), 0)
    return int(array.chunks[min(first, max(0, len(sides) - 2))])


def _coloured(path: Path) -> UnusableLabels:
    return UnusableLabels(f"{path} holds colours: save one grey image, a value for each pixel.")
