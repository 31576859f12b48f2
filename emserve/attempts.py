"""The attempts at a job: that each was made, what it wrote, and the parts that it left for the next."""

import contextlib
from datetime import UTC, datetime

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import ObjectStore
from pydantic import ValidationError

from emserve import storage
from emserve.errors import StorageFull, StorageUnavailable
from emserve.jobs import Attempt


class Attempts:
    """Notes in storage, made before any work, so that none is forgotten however it ends."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def count(self, job_id: str) -> int:
        """How many were begun and not given back."""
        return len(storage.children(self._store, storage.attempts_prefix(job_id)))

    def latest(self, job_id: str) -> Attempt | None:
        """The one that was begun last; None before the first."""
        return max(self._all(job_id), key=lambda attempt: attempt.number, default=None)

    def fruitless(self, job_id: str) -> int:
        """How many ended where the job still is: they finished none of its parts.

        A job of n parts has at most n + 1 places to be at, so it cannot go on dying for ever.
        """
        parts = self._parts(job_id)
        return sum(attempt.parts >= parts for attempt in self._all(job_id))

    def begin(self, job_id: str, execution_id: str, worker: str) -> Attempt:
        """Notes one. Raises StorageFull or StorageUnavailable; then none was made."""
        attempt = Attempt(
            number=self.count(job_id) + 1,
            execution_id=execution_id,
            worker=worker,
            started_at=datetime.now(UTC),
            parts=self._parts(job_id),
        )
        try:
            storage.create(
                self._store, storage.attempt_key(job_id, execution_id), attempt.model_dump_json().encode()
            )
        except (StorageFull, StorageUnavailable):
            self.forget(job_id, execution_id)  # an empty folder would count as an attempt
            raise
        return attempt

    def forget(self, job_id: str, execution_id: str) -> None:
        """Removes one as if it had not been."""
        storage.remove_all(self._store, storage.attempt_prefix(job_id, execution_id))

    def clear(self, job_id: str, execution_id: str) -> None:
        """Removes what a dead one wrote, all but the note that it was made."""
        prefix = storage.attempt_prefix(job_id, execution_id)
        note = storage.attempt_key(job_id, execution_id)
        # What is not there any more, somebody else has removed: with the whole job, or with its end.
        with storage.storage_errors(), contextlib.suppress(NotFoundError, FileNotFoundError):
            for batch in obstore.list(self._store, prefix + "/", chunk_size=storage.PAGE):
                paths = [each["path"] for each in batch if each["path"] != note]
                if paths:
                    obstore.delete(self._store, paths)

    def clear_all_but(self, job_id: str, execution_id: str | None) -> None:
        """Removes what all others wrote, and the parts that they left for each other."""
        storage.remove_all(self._store, storage.ledger_prefix(job_id))
        for other in storage.children(self._store, storage.attempts_prefix(job_id)):
            if other != execution_id:
                self.clear(job_id, other)

    def _all(self, job_id: str) -> list[Attempt]:
        names = storage.children(self._store, storage.attempts_prefix(job_id))
        notes = (storage.read(self._store, storage.attempt_key(job_id, name)) for name in names)
        attempts = []
        for note in notes:
            with contextlib.suppress(ValidationError):  # a note that power loss cut off says nothing
                attempts.append(Attempt.model_validate_json(note or b""))
        return attempts

    def _parts(self, job_id: str) -> int:
        """How many parts of the job are finished and kept."""
        return sum(1 for _ in storage.changes(self._store, storage.ledger_prefix(job_id)))
