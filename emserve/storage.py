"""The names of what is stored, and the store that a URL means. obstore itself is the interface."""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, InvalidPathError, NotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from emserve.errors import FileRefused, StorageFull, StorageUnavailable

if TYPE_CHECKING:
    from obstore.store import RetryConfig

JOBS = "jobs"
TOMBSTONES = "tombstones"
PROBES = "probes"
_OF_A_JOB = ("input", "job.json", "cancel.json", "end.json", "ledger", "attempts")
ID = "storage.json"
"""Says which storage this is."""
TENANT = "tenant.json"
"""Says which service works on it."""
_UNFINISHED = re.compile(r".*#\d+")  # how the local store names a file until it is whole
_OF_A_KEY = re.compile(r"[\w.-]+", re.ASCII)  # whole files, and no strangers' that the store cannot name
_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)
_LONGEST_PAUSE = timedelta(seconds=5)
_NO_BUCKET = "<Code>NoSuchBucket</Code>"
_MOST_PARTS = 9000
PAGE = 1000  # objects that S3 lists, and deletes, at a time
_DETAILS = (
    re.compile(r"<Code>(.*?)</Code>"),
    re.compile(r"<Message>(.*?)</Message>"),
    re.compile(r'ConnectError\(\s*"(.*?)"'),
    re.compile(r"\b(TimedOut)\b"),
)


def open_store(url: str, patience_seconds: float = 20) -> ObjectStore:
    """The store behind a file:// or s3:// URL; a local folder is made if it is not there.

    On S3, what fails or is not answered (30 seconds after it was asked) is tried again until
    `patience_seconds` have passed.
    """
    parts = urlparse(url)
    if parts.scheme == "file":
        # Folders that lost their last file go too, so that a deleted job leaves nothing.
        return LocalStore(Path(unquote(parts.path)), mkdir=True, automatic_cleanup=True)
    # The time bounds the tries, not their number: ten of them, the default, are over within seconds.
    retries: RetryConfig = {
        "retry_timeout": timedelta(seconds=patience_seconds),
        "max_retries": 1000,
        "backoff": {"max_backoff": _LONGEST_PAUSE},
    }
    return from_url(url, retry_config=retries)


def job_prefix(job_id: str) -> str:
    return f"{JOBS}/{job_id}"


def tombstone_key(job_id: str) -> str:
    """What stays of a deleted job. Outside of the job's folder, of which nothing stays."""
    return f"{TOMBSTONES}/{job_id}.json"


def input_key(job_id: str) -> str:
    """The uploaded file, as it came."""
    return f"{JOBS}/{job_id}/input"


def record_key(job_id: str) -> str:
    return f"{JOBS}/{job_id}/job.json"


def cancel_key(job_id: str) -> str:
    """The durable wish that a job should stop."""
    return f"{JOBS}/{job_id}/cancel.json"


def end_key(job_id: str) -> str:
    return f"{JOBS}/{job_id}/end.json"


def ledger_prefix(job_id: str) -> str:
    """What is finished of a volume, for attempts to come; goes with the job's end."""
    return f"{JOBS}/{job_id}/ledger"


def attempts_prefix(job_id: str) -> str:
    return f"{JOBS}/{job_id}/attempts"


def attempt_prefix(job_id: str, execution_id: str) -> str:
    """Everything that one run of a job writes."""
    return f"{attempts_prefix(job_id)}/{execution_id}"


def attempt_key(job_id: str, execution_id: str) -> str:
    return f"{attempt_prefix(job_id, execution_id)}/attempt.json"


def labels_prefix(job_id: str, execution_id: str) -> str:
    """The label map, an OME-Zarr group."""
    return f"{attempt_prefix(job_id, execution_id)}/labels.zarr"


def montage_key(job_id: str, execution_id: str) -> str:
    """Three planes of a volume and of its labels, for its preview; arrays in one .npz."""
    return f"{attempt_prefix(job_id, execution_id)}/montage.npz"


def objects_key(job_id: str, execution_id: str) -> str:
    """The objects' measures, columns in one .npz."""
    return f"{attempt_prefix(job_id, execution_id)}/objects.npz"


def provenance_key(job_id: str, execution_id: str) -> str:
    return f"{attempt_prefix(job_id, execution_id)}/provenance.json"


def render_key(job_id: str, execution_id: str, name: str) -> str:
    """A result file rendered from the label map."""
    return f"{attempt_prefix(job_id, execution_id)}/renders/{name}"


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """Translates the store's faults; NotFoundError and AlreadyExistsError are answers and pass."""
    try:
        yield
    except (NotFoundError, AlreadyExistsError):
        raise
    except (BaseError, OSError) as error:
        if is_full(error):
            raise StorageFull("what this request stores") from error
        if isinstance(error, InvalidPathError) or _is_one_of(_REFUSED, error):
            raise FileRefused(_cause(error)) from error
        raise _unavailable(error) from error


def _unavailable(error: BaseException) -> StorageUnavailable:
    return StorageUnavailable(
        "The storage cannot be reached; the server's log says why. Try again.", cause=_cause(error)
    )


def _cause(error: BaseException) -> str:
    """Of an error of the store, which has pages, one line for operators: what was asked, what came of it."""
    text = str(error)
    asked = text.partition("\n")[0].partition(": <?xml")[0]  # how S3 answers
    details = (found[1] for found in (detail.search(text) for detail in _DETAILS) if found)
    return f"{asked} ({', '.join(dict.fromkeys(details)) or type(error).__name__})"


def is_full(error: BaseException) -> bool:
    """Whether an error of the operating system or of the store says that the disk is full."""
    return _is_one_of(_FULL, error)


def _is_one_of(numbers: Sequence[int], error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in numbers
    # obstore tells the operating system's error in its text alone.
    return any(f"(os error {number})" in str(error) for number in numbers)


def read(store: ObjectStore, key: str) -> bytes | None:
    """The object at `key`, or None."""
    with storage_errors():
        try:
            return bytes(obstore.get(store, key).bytes())
        except (NotFoundError, FileNotFoundError) as error:
            if _NO_BUCKET in str(error):  # which is not to say that there is no such object
                raise _unavailable(error) from error
            path = local_folder(store, key)
            if path is not None and path.is_dir():  # which the store does not tell from what is not there
                raise FileRefused(f"{path} is a folder.") from error
            return None


def refuses_all(store: ObjectStore) -> bool:
    """Whether a disk does not let us in at all, so that what it refuses is no single file's fault."""
    folder = local_folder(store, JOBS)
    return folder is not None and folder.exists() and not os.access(folder, os.R_OK | os.X_OK)


def exists(store: ObjectStore, key: str) -> bool:
    with storage_errors():
        try:
            obstore.head(store, key)
        except (NotFoundError, FileNotFoundError):
            return False
        return True


def create(store: ObjectStore, key: str, value: bytes) -> bool:
    """Puts `value` at `key` unless something is there already; says whether it did."""
    with storage_errors():
        try:
            obstore.put(store, key, value, mode="create")
        except AlreadyExistsError:
            return False
        return True


def probe(store: ObjectStore) -> None:
    """Writes and removes a few bytes. Raises StorageFull and StorageUnavailable."""
    key = f"{PROBES}/{secrets.token_hex(8)}"
    with storage_errors():
        obstore.put(store, key, b"ready?")
        obstore.delete(store, key)


def part_bytes(store: ObjectStore, size_bytes: int) -> int:
    """Of the parts of an upload: S3 takes ten thousand at most, and none but the last below 5 MiB. On disk
    they are small, so that a refused upload has soon given back its room: parts on their way still come."""
    if local_folder(store) is not None:
        return 1 << 20
    return max(5 << 20, -(-size_bytes // _MOST_PARTS))


def children(store: ObjectStore, prefix: str) -> list[str]:
    """Names of the folders right under `prefix`."""
    folder = local_folder(store, prefix)
    if folder is not None:
        return _folders_in(folder)
    with storage_errors():
        listing = obstore.list_with_delimiter(store, prefix + "/")
        return [path.rsplit("/", 1)[-1] for path in listing["common_prefixes"]]


def _folders_in(folder: Path) -> list[str]:
    # Not by the store, which lists nothing at all where one name is no text, or has a line break in it.
    with storage_errors(), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return [path.name for path in folder.iterdir() if _is_folder(path)]
    return []


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:  # where a link leads to: whoever looks below it is told
        return True


def remove(store: ObjectStore, key: str) -> None:
    """Deletes the object at `key`, if it is there."""
    with storage_errors(), contextlib.suppress(NotFoundError, FileNotFoundError):
        obstore.delete(store, key)


def remove_all(store: ObjectStore, prefix: str) -> None:
    """Deletes every object under `prefix`; on local disk also what an interrupted write left there."""
    with storage_errors():
        folder = local_folder(store, prefix)
        if folder is not None:
            _remove_folder(folder)
            return
        for batch in obstore.list(store, prefix + "/", chunk_size=PAGE):
            paths = [each["path"] for each in batch]
            with contextlib.suppress(NotFoundError, FileNotFoundError):
                obstore.delete(store, paths)


def _remove_folder(folder: Path) -> None:
    """Raises OSError for what cannot be removed; what others write there meanwhile is theirs to remove."""
    if folder.is_symlink():
        _remove_linked(folder)
        return
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        try:
            shutil.rmtree(folder)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
                raise


def _remove_linked(link: Path) -> None:
    """Of a job's folder that somebody moved to another disk and left a link to: what the service wrote there,
    and the link. Wherever it leads to, nothing else that lies there goes."""
    target = link.resolve()
    for path in target.iterdir() if target.is_dir() else ():
        if path.name.partition("#")[0] not in _OF_A_JOB:
            continue
        if path.is_dir():
            _remove_folder(path)
        else:
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or not there
        target.rmdir()
    link.unlink(missing_ok=True)


def changes(store: ObjectStore, prefix: str) -> Iterator[tuple[str, datetime]]:
    """Key and last change of each object under `prefix`."""
    folder = local_folder(store, prefix)
    if folder is not None:
        yield from _changes_in(folder, prefix)
        return
    with storage_errors():
        for batch in obstore.list(store, prefix + "/", chunk_size=PAGE):
            yield from ((each["path"], each["last_modified"]) for each in batch)


def _changes_in(folder: Path, prefix: str) -> Iterator[tuple[str, datetime]]:
    # Not by the store, for the same reason as in `_folders_in`.
    with storage_errors():
        for path in folder.rglob("*"):
            if path.is_file() and _OF_A_KEY.fullmatch(path.name) and (changed := _changed(path)) is not None:
                yield f"{prefix}/{path.relative_to(folder)}", changed


def last_change(store: ObjectStore, prefix: str) -> datetime | None:
    """When something under `prefix` was last written, unfinished files and folders included; None when
    there is nothing."""
    folder = local_folder(store, prefix)
    if folder is None:
        return max((changed for _, changed in changes(store, prefix)), default=None)
    return max(
        (changed for path in (folder, *folder.rglob("*")) if (changed := _changed(path))), default=None
    )


def remove_unfinished(store: ObjectStore, prefix: str, before: datetime) -> None:
    """Removes files under `prefix` whose writer died before they were whole. Only the local store has
    such; "before" tells them from those that are being written."""
    folder = local_folder(store, prefix)
    for path in folder.rglob("*") if folder else ():
        if _UNFINISHED.fullmatch(path.name) and (_changed(path) or before) < before:
            with storage_errors():
                path.unlink(missing_ok=True)


def local_folder(store: ObjectStore, prefix: str = "") -> Path | None:
    """The folder of `prefix`, or the file of a key, in a local store; None in another."""
    if isinstance(store, LocalStore) and store.prefix is not None:
        return Path(store.prefix) / prefix
    return None


def _changed(path: Path) -> datetime | None:
    with storage_errors(), contextlib.suppress(FileNotFoundError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return None
