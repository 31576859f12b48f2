"""A zip that somebody sent, looked at before anything in it is opened; nothing is ever unpacked to disk."""

import io
import stat
import struct
import zipfile
from pathlib import PurePosixPath
from typing import BinaryIO

from emserve.errors import EmserveError, UnreadableImage, UnsuitableImage

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""Of a zip, and of one without any file."""
_MOST_ENTRIES = 500_000
_METHODS = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflate"}
_BOMB_BYTES = 1 << 26
_BOMB_RATIO = 200
_IS_ENCRYPTED = 0x1
_ENTRY_BYTES = 1 << 32
"""An entry is unpacked in memory; the limit of the process holds before this one."""
_NAME_LENGTHS, _LOCAL_HEADER_BYTES = 26, 30  # of what stands before a file's content
_LITTER = ("Thumbs.db", "desktop.ini")


class Archive:
    """The files in a zip, by name. Raises UnreadableImage for one that is damaged or built to harm,
    UnsuitableImage for one that is packed in a way that is not accepted."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size_bytes = file.seek(0, 2)
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            raise UnreadableImage(
                "The zip's directory, which lies at its end, cannot be read: it was cut off or is damaged. "
                "Send the whole file."
            ) from error
        entries = self._zip.infolist()
        if len(entries) > _MOST_ENTRIES:
            raise UnsuitableImage(
                f"The zip has {len(entries)} entries and this server takes {_MOST_ENTRIES}: of a Zarr make "
                "larger chunks, or shards."
            )
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            _check_name(entry)
            if not entry.is_dir() and not is_litter(entry.filename):
                _check_packing(entry)
                if entry.filename in self._entries:
                    raise UnreadableImage(f"The zip has two files named {_shown(entry)}: make it again.")
                self._entries[entry.filename] = entry
        self._check_sizes()

    def _check_sizes(self) -> None:
        """What entries say of their packed size fits into the file, so that none shares its bytes."""
        if sum(entry.compress_size for entry in self._entries.values()) > self._size_bytes:
            raise UnreadableImage(
                "The zip's entries are together longer than the zip: they overlap, as those of a bomb do. "
                "Make it again."
            )

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def read(self, name: str) -> bytes:
        """A file's whole content. Raises KeyError where there is no such file, UnreadableImage."""
        entry = self._entries[name]
        try:
            return self._zip.read(entry)
        except (MemoryError, EmserveError):
            raise
        except Exception as error:  # zipfile's and zlib's errors are of many kinds
            raise UnreadableImage(
                f"{_shown(entry)} cannot be read from the zip ({type(error).__name__}): make it again."
            ) from error

    def read_part(self, name: str, begin: int, end: int) -> bytes:
        """Some bytes of a file's content; the rest is not read where it is stored as it is."""
        entry = self._entries[name]
        if entry.compress_type != zipfile.ZIP_STORED:
            return self.read(name)[begin:end]
        self._file.seek(entry.header_offset + _NAME_LENGTHS)
        lengths = struct.unpack("<HH", self._file.read(4))
        place = entry.header_offset + _LOCAL_HEADER_BYTES + sum(lengths)
        self._file.seek(place + begin)
        return self._file.read(min(end, entry.file_size) - begin)

    def size_bytes(self, name: str) -> int:
        """The length of a file's content."""
        return self._entries[name].file_size

    def open(self, name: str) -> BinaryIO:
        """A file to read in; it is in memory."""
        return io.BytesIO(self.read(name))


def _check_name(entry: zipfile.ZipInfo) -> None:
    """Names and kinds of what could get out of a folder are refused, although nothing is unpacked to one:
    whoever made such a zip meant harm, or does not know what is in it."""
    name = entry.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in entry.orig_filename or name[1:2] == ":":
        raise UnreadableImage(
            f"The zip has an entry named {_shown(entry)}, which leads out of its folder: make it again, with "
            "plain relative names."
        )
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UnreadableImage(
            f"The zip's entry {_shown(entry)} is a link or a device: make it again, with plain files."
        )


def _check_packing(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & _IS_ENCRYPTED:
        raise UnsuitableImage(f"The zip's entry {_shown(entry)} is encrypted: make it without a password.")
    if entry.compress_type not in _METHODS:
        raise UnsuitableImage(
            f"The zip's entry {_shown(entry)} is packed with method {entry.compress_type}; this server takes "
            f"{' and '.join(_METHODS.values())}."
        )
    is_bomb = entry.file_size > _BOMB_BYTES and entry.file_size > _BOMB_RATIO * entry.compress_size
    if is_bomb or entry.file_size > _ENTRY_BYTES:
        raise UnreadableImage(
            f"The zip's entry {_shown(entry)} has {entry.compress_size} bytes and would unpack to "
            f"{entry.file_size}, as a bomb does. Compress images by themselves and store them in the zip."
        )


def is_litter(name: str) -> bool:
    """What operating systems add to a zip."""
    path = PurePosixPath(name)
    is_hidden = path.name.startswith(".") and not path.name.startswith(".z")  # .zarray, .zattrs, .zgroup
    return "__MACOSX" in path.parts or is_hidden or path.name in _LITTER


def _shown(entry: zipfile.ZipInfo) -> str:
    return repr(entry.filename[:120])
