"""A stored object as a file to read in: seekable, by ranges, of which the last few are kept."""

import io
from collections import OrderedDict
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import ObjectStore
from typing_extensions import Buffer

from emserve.errors import HelperDied
from emserve.storage import local_folder, storage_errors

_BLOCK_BYTES = 16 << 10
_BLOCKS = 2048
_MOST_AHEAD = 64  # blocks
_LARGE_BYTES = _MOST_AHEAD * _BLOCK_BYTES


def open_stored(store: ObjectStore, key: str) -> BinaryIO:
    """The object at `key`: the file itself on local disk, ranges of it elsewhere.

    Raises StorageUnavailable; FileNotFoundError where it is not there."""
    path = local_folder(store, key)
    if path is not None:
        return path.open("rb")
    return cast("BinaryIO", io.BufferedReader(StoredFile(store, key)))


def open_input(store: ObjectStore, key: str) -> BinaryIO:
    """The file of a job, as it was uploaded. Raises StorageUnavailable; HelperDied where it is not there, as
    after somebody removed it by hand."""
    try:
        return open_stored(store, key)
    except FileNotFoundError as error:
        raise HelperDied(
            f"The job's input ({key}) is not in storage any more. Submit the image again."
        ) from error


def _meta(store: ObjectStore, key: str) -> "obstore.ObjectMeta | None":
    with storage_errors():
        try:
            return obstore.head(store, key)
        except (NotFoundError, FileNotFoundError):
            return None


class _Blocks:
    """What was fetched of an object, the last few mebibytes of it.

    The directories of a TIFF's pages lie apart, and readers walk them several times: each is fetched alone,
    and once. What is read on is fetched ahead.
    """

    def __init__(self, store: ObjectStore, meta: "obstore.ObjectMeta") -> None:
        self.meta = meta
        self.size_bytes = meta["size"]
        self._store = store
        self._key = meta["path"]
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._next = 0
        """The block behind the last one that was fetched."""
        self._ahead = 1

    def fetch(self, start: int, end: int) -> memoryview:
        """These bytes, past what is kept."""
        with storage_errors():
            return memoryview(obstore.get_range(self._store, self._key, start=start, end=end)).cast("B")

    def part(self, position: int, count: int) -> bytes:
        """Up to `count` bytes from a position on, as many as lie in its block."""
        index, start = divmod(position, _BLOCK_BYTES)
        if index not in self._kept:
            self._fetch_from(index, -(-(start + count) // _BLOCK_BYTES))
        self._kept.move_to_end(index)
        return self._kept[index][start : start + count]

    def _fetch_from(self, index: int, wanted: int) -> None:
        self._ahead = min(2 * self._ahead, _MOST_AHEAD) if index == self._next else 1
        count = max(wanted, self._ahead)
        count = next((number for number in range(1, count) if index + number in self._kept), count)
        start = index * _BLOCK_BYTES
        fetched = self.fetch(start, min(start + count * _BLOCK_BYTES, self.size_bytes))
        for number, begin in enumerate(range(0, len(fetched), _BLOCK_BYTES)):
            self._kept[index + number] = bytes(fetched[begin : begin + _BLOCK_BYTES])
        self._next = index + count
        while len(self._kept) > _BLOCKS:
            self._kept.popitem(last=False)


class _Last:
    """The blocks of the object that was opened last: a volume is read by one request after another, each of
    which opens it anew."""

    def __init__(self) -> None:
        self._store: ObjectStore | None = None
        self._blocks: _Blocks | None = None

    def blocks(self, store: ObjectStore, key: str) -> _Blocks:
        """Raises StorageUnavailable; FileNotFoundError where there is no such object."""
        meta = _meta(store, key)
        if meta is None:
            raise FileNotFoundError(key)
        # Stores have no equality that could be relied on.
        if self._blocks is None or self._store is not store or self._blocks.meta != meta:
            self._store, self._blocks = store, _Blocks(store, meta)
        return self._blocks


_last = _Last()


class StoredFile(io.RawIOBase):
    """An object as a file; what was fetched of the last one is kept."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        super().__init__()
        self._blocks = _last.blocks(store, key)
        self._position = 0

    @property
    def size_bytes(self) -> int:
        return self._blocks.size_bytes

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size_bytes}[whence]
        if base + offset < 0:
            raise ValueError(f"position {base + offset} lies before the file's start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size_bytes - self._position))
        if not count:
            return 0
        part: bytes | memoryview
        if count > _LARGE_BYTES:
            part = self._blocks.fetch(self._position, self._position + count)
        else:
            part = self._blocks.part(self._position, count)
        view[: len(part)] = part
        self._position += len(part)
        return len(part)
