"""A stored object as a file to read in: seekable, by ranges, with a small cache."""

import io
from collections import OrderedDict
from pathlib import Path
from typing import BinaryIO, cast

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, ObjectStore
from typing_extensions import Buffer

from emserve.storage import storage_errors

_BLOCK_BYTES = 1 << 20
_BLOCKS = 32


def open_stored(store: ObjectStore, key: str) -> BinaryIO:
    """The object at `key`: the file itself on local disk, ranges of it elsewhere.

    Raises StorageUnavailable; FileNotFoundError where it is not there."""
    if isinstance(store, LocalStore) and store.prefix is not None:
        return (Path(store.prefix) / key).open("rb")
    return cast("BinaryIO", io.BufferedReader(StoredFile(store, key)))


def _size_bytes(store: ObjectStore, key: str) -> int | None:
    with storage_errors():
        try:
            return obstore.head(store, key)["size"]
        except (NotFoundError, FileNotFoundError):
            return None


class StoredFile(io.RawIOBase):
    """Reads by ranges, in blocks of a mebibyte, the last few of which it keeps."""

    def __init__(self, store: ObjectStore, key: str) -> None:
        super().__init__()
        self._store = store
        self._key = key
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        size_bytes = _size_bytes(store, key)
        if size_bytes is None:
            raise FileNotFoundError(key)
        self.size_bytes = size_bytes

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
        if count > _BLOCK_BYTES:  # a large read goes past the cache, in one request
            count = self._fetch(view[:count])
        elif count:
            index, start = divmod(self._position, _BLOCK_BYTES)
            part = self._block(index)[start : start + count]
            count = len(part)
            view[:count] = part
        self._position += count
        return count

    def _fetch(self, view: memoryview) -> int:
        with storage_errors():
            value = obstore.get_range(self._store, self._key, start=self._position, length=len(view))
        view[:] = memoryview(value).cast("B")
        return len(view)

    def _block(self, index: int) -> bytes:
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        start = index * _BLOCK_BYTES
        end = min(start + _BLOCK_BYTES, self.size_bytes)
        with storage_errors():
            block = bytes(obstore.get_range(self._store, self._key, start=start, end=end))
        self._blocks[index] = block
        if len(self._blocks) > _BLOCKS:
            self._blocks.popitem(last=False)
        return block
