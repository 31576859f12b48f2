"""The pairing of a storage and a broker: a broker queues the jobs of one storage and no others."""

import logging
from urllib.parse import urlsplit

import obstore
from obstore.store import ObjectStore
from pydantic import BaseModel, ConfigDict
from redis import Redis

from emserve import storage
from emserve.errors import EmserveError
from emserve.ids import new_id
from emserve.parsing import understood
from emserve.tickets import broker_errors

log = logging.getLogger(__name__)

_OWNER = "emserve:storage"  # no expiry: as long as the broker's data, which are of that storage


class _StorageId(BaseModel):
    """What lies at the root of a storage, and goes where its content goes."""

    model_config = ConfigDict(frozen=True)

    id: str


class _Owner(_StorageId):
    """The storage that a broker belongs to, and where it was when somebody last said so."""

    url: str


class ForeignBroker(EmserveError):
    title = "The job queue belongs to another storage"

    def __init__(self, owner: _Owner, url: str, found: str | None) -> None:
        has = f"has the id {found}" if found else "has no id yet: it is empty, or not mounted"
        super().__init__(
            f"The job queue belongs to the storage {owner.id}, which was at {owner.url}, and the storage at "
            f"{url} {has}. Give both that belong together with --redis, --storage and --data-dir "
            "(EMSERVE_REDIS, EMSERVE_STORAGE, EMSERVE_DATA_DIR). If this storage is to be used with this "
            "queue from now on, stop the service and its workers and empty the queue: move the folder broker "
            "of the data folder away, or, of a Redis of your own, call FLUSHDB. Jobs are listed again from "
            "storage."
        )


class Pairing:
    """Whether a storage and a broker belong together.

    A broker without an owner, such as a new one or one that lost its data, takes the first storage that an
    API brings. Workers only look: one that is started too early, with a wrong folder, must claim nothing."""

    def __init__(self, store: ObjectStore, redis: Redis, url: str) -> None:
        self._store = store
        self._redis = redis
        self._url = _without_login(url)
        self._id: str | None = None
        """The storage's, once it is known."""

    def claim(self) -> None:
        """Pairs them, where the broker has no owner. Raises ForeignBroker, BrokerUnavailable, StorageFull and
        StorageUnavailable."""
        owner = self._owner()
        if owner is None:
            # The storage first: who sees the broker's owner finds the id in the right storage.
            owner = self._take(self._storage_id() or self._give_id(new_id()))
        elif self._storage_id() is None and storage.exists(self._store, storage.ID):
            self._mend(owner.id)
        if self._storage_id() != owner.id:
            raise ForeignBroker(owner, self._url, self._id)
        if owner.url != self._url:  # moved, or seen from another machine
            with broker_errors():
                self._redis.set(_OWNER, self._as_owner(owner.id).model_dump_json())

    def check(self) -> None:
        """Raises ForeignBroker where the broker has another owner, BrokerUnavailable, StorageUnavailable."""
        owner = self._owner()
        if owner is not None and self._storage_id() != owner.id:
            raise ForeignBroker(owner, self._url, self._id)

    def _take(self, storage_id: str) -> _Owner:
        owner = self._as_owner(storage_id)
        with broker_errors():
            is_first = self._redis.set(_OWNER, owner.model_dump_json(), nx=True)
        return owner if is_first else self._owner() or owner

    def _as_owner(self, storage_id: str) -> _Owner:
        return _Owner(id=storage_id, url=self._url)

    def _owner(self) -> _Owner | None:
        with broker_errors():
            value = self._redis.get(_OWNER)
        return understood(_Owner, value) if value is not None else None

    def _storage_id(self) -> str | None:
        """None for a storage that has none."""
        if self._id is None:
            value = storage.read(self._store, storage.ID)
            found = None if value is None else understood(_StorageId, value)
            self._id = found.id if found else None
        return self._id

    def _give_id(self, storage_id: str) -> str:
        """Of several that do so at once the first one's id stands."""
        storage.create(self._store, storage.ID, _as_stored(storage_id))
        return self._storage_id() or self._mend(storage_id)

    def _mend(self, storage_id: str) -> str:
        """Replaces an id that cannot be read, as of a file that a power cut left empty."""
        log.warning("the storage's id cannot be read; it gets one anew", extra={"id": storage_id})
        with storage.storage_errors():
            obstore.put(self._store, storage.ID, _as_stored(storage_id))
        return storage_id


def _as_stored(storage_id: str) -> bytes:
    return _StorageId(id=storage_id).model_dump_json().encode()


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
