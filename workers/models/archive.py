"""Files that torch wrote: zips whose tensors lie in them as they are, opened within limits."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from emserve.errors import UserError

_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"
_MOST_ENTRIES = 50_000


class ModelFileDamaged(UserError):
    """The file breaks off, or is no file of torch's."""


class ModelFileUnsafe(UserError):
    """The file holds, or does, more than numbers need."""


class Archive:
    """The entries of a zip that torch wrote.

    Torch stores tensors and their description uncompressed. What is compressed, which in a TorchScript
    archive is the code, is never read; so nothing unpacks to more than the file's own size.
    """

    def __init__(self, entries: zipfile.ZipFile, path: Path) -> None:
        self._zip = entries
        self._path = path
        self._names = self._checked(path.stat().st_size)
        described = [name for name in self._names if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(described) != 1:
            raise ModelFileDamaged(f"{path.name} is a zip, but none that torch wrote: data.pkl is not in it.")
        self._root = described[0].removesuffix("data.pkl")

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        """The archive at `path`. Raises ModelFileDamaged and ModelFileUnsafe."""
        try:
            entries = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, NotImplementedError) as error:
            raise ModelFileDamaged(
                f"{path.name} is truncated or damaged ({error}). Fetch the file again."
            ) from error
        with entries:
            yield cls(entries, path)

    @property
    def is_scripted(self) -> bool:
        """Whether it is a TorchScript archive, which holds code beside its tensors."""
        return self._root + "constants.pkl" in self._names or any(
            name.startswith(self._root + "code/") for name in self._names
        )

    @property
    def is_little_endian(self) -> bool:
        name = self._root + "byteorder"
        return name not in self._names or self._read(name) == b"little"

    def description(self) -> bytes:
        """The pickle that says which tensors there are."""
        return self._read(self._root + "data.pkl")

    def storage(self, key: str) -> bytes:
        """The numbers that the description calls `key`."""
        return self._read(f"{self._root}data/{key}")

    def _read(self, name: str) -> bytes:
        try:
            return self._zip.read(name)
        except (KeyError, zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise ModelFileDamaged(
                f"{self._path.name} is damaged at {name!r:.100} ({error}). Fetch the file again."
            ) from error

    def _checked(self, size_bytes: int) -> frozenset[str]:
        """Names of the entries, if they are as torch writes them."""
        entries = self._zip.infolist()
        names = frozenset(entry.filename for entry in entries)
        if len(names) != len(entries) or len(entries) > _MOST_ENTRIES:
            raise ModelFileUnsafe(
                f"{self._path.name} has {len(entries)} entries, some of them twice or more than "
                f"{_MOST_ENTRIES}. Torch writes no such file."
            )
        plain = [entry for entry in entries if "/code/" not in entry.filename]
        packed = [entry for entry in plain if entry.compress_type != zipfile.ZIP_STORED]
        unpacked_bytes = sum(entry.file_size for entry in plain)
        if packed or unpacked_bytes > size_bytes:
            raise ModelFileUnsafe(
                f"{self._path.name} has {size_bytes} bytes and would unpack to {unpacked_bytes}, or is "
                "compressed. Torch stores tensors uncompressed: this is no file of its, and may be a bomb."
            )
        return names


def is_zip(path: Path) -> bool:
    """Whether the file is a zip; False for the pickle that torch wrote before 1.6.

    Raises ModelFileDamaged for anything else."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == _ZIP:
        return True
    if start[:1] == _PICKLE:
        return False
    raise ModelFileDamaged(
        f"{path.name} is no file of torch's: it begins with {start!r}. An exported model is a TorchScript "
        "archive or a checkpoint, usually named .pth or .pt."
    )
