"""The notes of finished work of a volume, in storage beside its attempts."""

import logging
from dataclasses import dataclass

import obstore
from obstore.store import ObjectStore

from emserve import storage
from emserve.errors import StorageUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StoredLedger:
    """A `Ledger`. A note that cannot be written or read costs the work that it saves, and no job; a full disk
    ends the job at once, since its result would not find room either (StorageFull)."""

    store: ObjectStore
    job_id: str

    def load(self, key: str) -> bytes | None:
        try:
            return storage.read(self.store, self._key(key))
        except StorageUnavailable as error:
            log.warning("cannot read what is finished of a volume", extra={"reason": error.for_operators})
            return None

    def save(self, key: str, entry: bytes) -> None:
        try:
            with storage.storage_errors():
                obstore.put(self.store, self._key(key), entry)
        except StorageUnavailable as error:
            log.warning("cannot note what is finished of a volume", extra={"reason": error.for_operators})

    def _key(self, key: str) -> str:
        return f"{storage.ledger_prefix(self.job_id)}/{key}"
