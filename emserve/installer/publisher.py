"""Where released models come from: a publisher's API, a mirror of it, or a folder of files from there."""

from pathlib import Path
from typing import Protocol

from emserve.installer.download import Downloader, OnBytes, forget
from emserve.installer.errors import RecordUnusable, WrongChecksum
from emserve.installer.folder import ModelFolder, digest
from emserve.installer.record import Record, RecordFile

ZENODO = "https://zenodo.org"


class Publisher(Protocol):
    """Gives records and their files."""

    def record(self, number: str) -> Record | None:
        """The record, or None where only its files are there. Raises DownloadFailed and RecordUnusable."""

    def file(self, number: str, name: str, folder: ModelFolder, on_bytes: OnBytes) -> Path:
        """The whole file, its checksum compared with the record's, somewhere on this machine.

        Raises DownloadFailed, RecordUnusable, WrongChecksum and FolderFull."""

    def done_with(self, path: Path) -> None:
        """Says that a file is not needed any more."""


class OnlinePublisher:
    """Zenodo, or whatever answers as it does at another address."""

    def __init__(self, address: str, downloader: Downloader) -> None:
        self._address = address.rstrip("/")
        self._downloader = downloader
        self._records: dict[str, Record] = {}

    def record(self, number: str) -> Record:
        if number not in self._records:
            url = f"{self._address}/api/records/{number}"
            self._records[number] = Record.parse(self._downloader.content(url), url)
        return self._records[number]

    def file(self, number: str, name: str, folder: ModelFolder, on_bytes: OnBytes) -> Path:
        file = self.record(number).file(name)
        folder.downloads.mkdir(exist_ok=True)
        path = folder.downloads / f"{file.checksum.replace(':', '-')}.part"  # another file, another name
        begun_bytes = path.stat().st_size if path.exists() else 0
        folder.require_room(2 * file.size - begun_bytes)
        url = self._link(number, file)
        self._downloader.file(url, path, file.size, on_bytes)
        if begun_bytes and not _is_right(path, file):  # what lay there may have been another file's beginning
            forget(path)
            self._downloader.file(url, path, file.size, on_bytes)
        try:
            _check(path, file)
        except WrongChecksum:
            forget(path)
            raise
        return path

    def done_with(self, path: Path) -> None:
        forget(path)

    def _link(self, number: str, file: RecordFile) -> str:
        """Where a file is; a mirror's record may still name the original's address."""
        link = file.links.own if file.links else f"{self._address}/records/{number}/files/{file.key}"
        return self._address + link.removeprefix(ZENODO) if link.startswith(ZENODO + "/") else link


class FolderPublisher:
    """A folder with files that were fetched elsewhere, and their records as `<number>.json` if possible."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def record(self, number: str) -> Record | None:
        path = self._path / f"{number}.json"
        return Record.parse(path.read_bytes(), str(path)) if path.is_file() else None

    def file(self, number: str, name: str, folder: ModelFolder, on_bytes: OnBytes) -> Path:
        path = self._path / name
        if not path.is_file():
            raise RecordUnusable(
                f"{self._path} has no {name}. Fetch it from {ZENODO}/records/{number}, and the record, "
                f"{ZENODO}/api/records/{number}, as {number}.json."
            )
        size_bytes = path.stat().st_size
        folder.require_room(size_bytes)
        record = self.record(number)
        if record is not None:
            _check(path, record.file(name))
        on_bytes(size_bytes, size_bytes)
        return path

    def done_with(self, path: Path) -> None:
        """The folder is its owner's; nothing is removed from it."""


def _check(path: Path, file: RecordFile) -> None:
    algorithm = file.checksum.partition(":")[0]
    found = f"{algorithm}:{digest(path, algorithm)}"
    if found.lower() != file.checksum.lower():
        raise WrongChecksum(file.key, file.checksum, found)


def _is_right(path: Path, file: RecordFile) -> bool:
    try:
        _check(path, file)
    except WrongChecksum:
        return False
    return True
