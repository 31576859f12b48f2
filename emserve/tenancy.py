"""The tenancy of a storage: of two services with brokers of their own, each would run every job of it."""

import contextlib
import time

import obstore
from obstore.store import ObjectStore
from pydantic import BaseModel, ConfigDict
from redis import Redis
from rq.utils import as_text

from emserve import storage
from emserve.errors import BrokerUnavailable, EmserveError, StorageFull, StorageUnavailable
from emserve.ids import new_id
from emserve.parsing import understood
from emserve.tickets import broker_errors

_BROKER = "emserve:broker"
_RENEW_SECONDS = 2.0
_RENEW_FAR_SECONDS = 10.0  # where each request is paid for
_RENEWALS = 3  # that a note may miss before its service is taken for gone


class _Note(BaseModel):
    """What lies in storage while a service works on it."""

    model_config = ConfigDict(frozen=True)

    broker: str
    """Its id, which several APIs of one service share."""
    renewal: str
    """Another one each time."""


class StorageInUse(EmserveError):
    title = "The storage is in use"

    def __init__(self, url: str) -> None:
        super().__init__(
            f"The storage at {url} is in use by a service with another job queue, and both would run each "
            "job. Let both use one queue with --redis (EMSERVE_REDIS), stop the other one, or choose another "
            "storage with --storage (EMSERVE_STORAGE)."
        )


class Tenancy:
    """A note that the service renews in its storage. One of another broker that changes means that another
    service works there; one that stands still was left by a service that was killed. No clock but our own is
    asked."""

    def __init__(
        self, store: ObjectStore, redis: Redis, url: str, renew_seconds: float | None = None
    ) -> None:
        is_far = storage.local_folder(store) is None
        self._store = store
        self._redis = redis
        self._url = url
        self._renew_seconds = renew_seconds or (_RENEW_FAR_SECONDS if is_far else _RENEW_SECONDS)
        self._renew_at = 0.0
        self._broker = new_id()
        """The broker's id, unless it has one already."""
        self.is_ours = False
        """Whether nobody else works on the storage, as far as the last look told."""
        self._other: tuple[bytes, float] | None = None
        """The note of another, and when it was first seen as it is."""

    def renew(self) -> bool:
        """Renews the note where that is due; False while somebody else may still be there. To be called again
        and again. Raises StorageInUse, and before it was true for the first time also BrokerUnavailable,
        StorageFull and StorageUnavailable."""
        if not self.is_ours:
            self._learn_broker()
            self._renew()
        elif time.monotonic() >= self._renew_at:
            with contextlib.suppress(BrokerUnavailable):  # it keeps its id while it is away
                self._learn_broker()
            with contextlib.suppress(StorageFull, StorageUnavailable):  # what else needs it will say so
                self._renew()
        return self.is_ours

    def leave(self) -> None:
        """Removes the note, so that whoever comes next need not wait; other APIs of this service renew it."""
        if self.is_ours:
            with contextlib.suppress(StorageUnavailable):
                storage.remove(self._store, storage.TENANT)

    def _learn_broker(self) -> None:
        """A broker that lost its data gets the id back that it had."""
        with broker_errors():
            found = self._redis.get(_BROKER)
            if found is None:
                self._redis.set(_BROKER, self._broker, nx=True)
                found = self._redis.get(_BROKER)
        if found is not None:
            self._broker = as_text(found)

    def _renew(self) -> None:
        value = storage.read(self._store, storage.TENANT)
        self.is_ours = value is None or self._may_replace(value)
        if self.is_ours:
            self._renew_at = time.monotonic() + self._renew_seconds
            note = _Note(broker=self._broker, renewal=new_id())
            with storage.storage_errors():
                obstore.put(self._store, storage.TENANT, note.model_dump_json().encode())

    def _may_replace(self, value: bytes) -> bool:
        """Whether a note is ours, or nobody's any more. Raises StorageInUse."""
        if _is_of(self._broker, value):
            self._other = None
            return True
        now = time.monotonic()
        if self._other is None:
            self._other = value, now
        seen, since = self._other
        if seen != value:
            self._other = value, now
            raise StorageInUse(self._url)
        return now - since > _RENEWALS * self._renew_seconds


def _is_of(broker: str, value: bytes) -> bool:
    """Whether a note is that of this broker; one that cannot be read is nobody's."""
    note = understood(_Note, value)
    return note is None or note.broker == broker
