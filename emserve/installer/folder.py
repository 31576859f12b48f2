"""The model folder: cards and weights, changed by one command at a time and never seen half-changed."""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter

from emserve.cards import DRAFTS, ModelCard
from emserve.installer.errors import (
    DiskFull,
    FileChanged,
    FolderBusy,
    FolderFull,
    FolderUnwritable,
    ModelExists,
)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST, errno.ENOENT)
_SLACK_BYTES = 64 * 1024**2  # beyond what a command needs, so that it does not fill a disk to its last byte


class FirstSeen(BaseModel):
    """What a publisher's file was when it was first pulled."""

    model_config = ConfigDict(frozen=True)

    sha256: str
    checksum: str | None = None
    """As its record stated it."""


_LEDGER: TypeAdapter[dict[str, FirstSeen]] = TypeAdapter(dict[str, FirstSeen])


class ModelFolder:
    """A folder of `<name>@<version>.json` and `.safetensors`.

    Readers (the API, workers) take no lock: the weights come before their card, each by a rename, and a
    card that names its weights by SHA-256 is never believed of others.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def downloads(self) -> Path:
        """Where what is being fetched grows; kept over an interruption."""
        return self.path / ".downloads"

    @property
    def ledger(self) -> Path:
        return self.path / ".first-seen"

    @contextlib.contextmanager
    def changing(self) -> Iterator[Path]:
        """Keeps other commands out meanwhile; gives an empty folder for drafts, which is gone afterwards.

        Raises FolderBusy, FolderUnwritable, DiskFull."""
        drafts = self.path / DRAFTS
        with self._errors(), self._locked():
            shutil.rmtree(drafts, ignore_errors=True)  # of a command that was killed
            drafts.mkdir()
            try:
                yield drafts
            finally:
                shutil.rmtree(drafts, ignore_errors=True)

    def install(self, card: ModelCard, weights: Path) -> None:
        """Takes `weights`, a draft, and its card in, in this order. Raises ModelExists."""
        final, card_file = self.weights_file(card), self.card_file(card)
        if final.exists() or card_file.exists():
            raise ModelExists(card.id)
        weights.replace(final)
        try:
            _write(card_file, card.model_dump_json(indent=2, exclude_none=True) + "\n", weights.parent)
        except BaseException:
            final.unlink(missing_ok=True)
            raise

    def weights_file(self, card: ModelCard) -> Path:
        return self.path / f"{card.id}.safetensors"

    def card_file(self, card: ModelCard) -> Path:
        return self.path / f"{card.id}.json"

    def require_room(self, needed_bytes: int) -> None:
        """Raises FolderFull when the disk has less free than that, and some slack."""
        free = shutil.disk_usage(self.path).free
        if free < needed_bytes + _SLACK_BYTES:
            raise FolderFull(self.path, needed_bytes + _SLACK_BYTES, free)

    def require_unchanged(self, name: str, seen: FirstSeen) -> None:
        """Raises FileChanged when a publisher's file was another at its first pull."""
        first = self._known().get(name)
        if first is not None and first.sha256 != seen.sha256:
            raise FileChanged(name, first.sha256, seen.sha256, self.ledger)

    def remember(self, name: str, seen: FirstSeen, drafts: Path) -> None:
        """Keeps what a publisher's file was at its first pull, for all later ones."""
        known = {name: seen} | self._known()
        entries = {key: value.model_dump(exclude_none=True) for key, value in known.items()}
        _write(self.ledger, json.dumps(entries, indent=1) + "\n", drafts)

    def _known(self) -> dict[str, FirstSeen]:
        with contextlib.suppress(FileNotFoundError):
            return _LEDGER.validate_json(self.ledger.read_bytes())
        return {}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                raise FolderBusy(self.path, holder or "unknown") from error
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Translates what the operating system says of this folder."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull(self.path) from error
            if error.errno in _UNWRITABLE and self._is_ours(error):
                raise FolderUnwritable(self.path, str(error.strerror)) from error
            raise

    def _is_ours(self, error: OSError) -> bool:
        return (
            error.filename is None
            or Path(error.filename) in (self.path, *self.path.parents)
            or (self.path in Path(error.filename).parents)
        )


def digest(path: Path, algorithm: str) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _write(path: Path, text: str, drafts: Path) -> None:
    """Puts a whole file at `path`, in one step."""
    draft = drafts / f"{path.name}.draft"
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
