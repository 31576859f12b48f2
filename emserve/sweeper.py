"""The sweeper: removes what has expired, and what a crash left. Nothing that is in use.

It runs where the reconciler runs, in the API: the process that is always there, may write to the storage,
and shares a machine with the processes that render.
"""

import contextlib
import logging
import threading
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import PurePath

from pydantic import ValidationError

from emserve import storage
from emserve.book import JobBook
from emserve.complaints import Complaints
from emserve.errors import BrokerUnavailable, EmserveError, FileRefused, JobNotFound
from emserve.ids import made_at
from emserve.jobs import aged_from
from emserve.live import lock_owner
from emserve.scratch import sweep
from emserve.settings import Settings

log = logging.getLogger(__name__)

_LOCK = "sweeper"
_LONGEST_LOCK_SECONDS = 120.0
"""A sweeper that was killed keeps others waiting no longer than this, however seldom it swept."""
QUIET = timedelta(days=1)
"""What nobody has written to for so long, nobody is writing. Writers touch their files every few seconds."""


class Sweeper:
    """Looks at everything that is stored. Of several, in as many processes, one works at a time."""

    def __init__(self, book: JobBook, settings: Settings) -> None:
        self._book = book
        self._scratch_dir = settings.scratch_dir
        self._keep_tombstones = timedelta(days=settings.keep_tombstones_days)
        self._lock_seconds = min(2 * settings.sweep_seconds, _LONGEST_LOCK_SECONDS)
        self._owner = lock_owner()
        self._ends: dict[str, datetime] = {}
        """From when the age of each ended job counts that was looked at since `_looked_at`, so that a pass
        reads few files."""
        self._looked_at = datetime.min.replace(tzinfo=UTC)
        self._suspects: set[str] = set()
        self._complaints = Complaints(log)
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Ends a pass that another thread is in, between two jobs."""
        self._stopping.set()

    def release(self) -> None:
        """Lets another sweep at once, such as the one of the next start."""
        with contextlib.suppress(BrokerUnavailable):
            self._book.live.release(_LOCK, self._owner)

    def run_once(self, now: datetime | None = None) -> list[str]:
        """One pass. Returns the ids of what it removed from the folder of jobs."""
        sweep(self._scratch_dir)
        if not self._book.live.acquire(_LOCK, self._owner, self._lock_seconds):
            return []
        now = now or datetime.now(UTC)
        if now - self._looked_at > QUIET:
            self._ends, self._looked_at = {}, now
        removed = self._sweep_jobs(now)
        # A worker that is still at a deleted job knows it by its tombstone.
        self._remove_old(storage.TOMBSTONES, now - self._keep_tombstones, self._book.tickets.leased())
        self._remove_old(storage.PROBES, now - QUIET)
        if removed:
            log.info("swept", extra={"removed": len(removed)})
        return removed

    def _sweep_jobs(self, now: datetime) -> list[str]:
        store = self._book.store
        deleted = {PurePath(key).stem for key, _ in storage.changes(store, storage.TOMBSTONES)}
        found = self._book.stored_ids()
        # After the names: a job that is accepted meanwhile is not missed here.
        listed, active = self._book.live.listed(), self._book.live.active()
        self._ends = {job_id: self._ends[job_id] for job_id in found if job_id in self._ends}
        removed: list[str] = []
        orphans: set[str] = set()
        for job_id in found:
            if self._stopping.is_set():
                return removed
            with self._faults_told(job_id):
                if job_id in deleted or self._has_expired(job_id, now):
                    self._book.delete(job_id)
                    removed.append(job_id)
                elif self._is_orphan(job_id, now):
                    orphans.add(job_id)
                elif job_id not in listed or (job_id not in self._ends and job_id not in active):
                    self._list_again(job_id)
                elif job_id not in self._ends:
                    self._book.end_if_cancelled(job_id)
        for job_id in orphans & self._suspects:  # a whole upload becomes a job before the next pass
            storage.remove_all(store, storage.job_prefix(job_id))
            removed.append(job_id)
        self._suspects = orphans
        return removed

    def _has_expired(self, job_id: str, now: datetime) -> bool:
        ended_at = self._ends.get(job_id) or self._look_at_end(job_id, now)
        return ended_at is not None and self._book.keep is not None and ended_at + self._book.keep <= now

    def _look_at_end(self, job_id: str, now: datetime) -> datetime | None:
        """When the job ended, if it has. What dead attempts and broken writes left in it goes."""
        try:
            record, end = self._book.record_and_end(job_id)
        except JobNotFound:
            return None
        if end is None:
            return None
        self._book.clear_leftovers(job_id, end)
        storage.remove_unfinished(self._book.store, storage.job_prefix(job_id), now - QUIET)
        self._ends[job_id] = aged_from(record, end)
        return self._ends[job_id]

    def _list_again(self, job_id: str) -> None:
        """For what the broker forgot, or never heard because the API died: nobody else would look for it."""
        with contextlib.suppress(JobNotFound):  # an upload that has not become a job
            self._book.list_again(job_id)
            log.warning("job was not listed", extra={"job_id": job_id})

    def _is_orphan(self, job_id: str, now: datetime) -> bool:
        """Whether this is an upload that became no job and that nobody is writing."""
        made = made_at(job_id)
        if job_id in self._ends or (made is not None and now - made < QUIET):
            return False
        try:
            self._book.record(job_id)
        except JobNotFound:
            changed = storage.last_change(self._book.store, storage.job_prefix(job_id))
            return changed is None or now - changed > QUIET
        return False

    def _remove_old(self, prefix: str, before: datetime, kept: Collection[str] = ()) -> None:
        for key, changed in list(storage.changes(self._book.store, prefix)):
            if changed < before and PurePath(key).stem not in kept:
                with contextlib.suppress(FileRefused):  # somebody made a folder of it, or it is not ours
                    storage.remove(self._book.store, key)

    @contextlib.contextmanager
    def _faults_told(self, job_id: str) -> Iterator[None]:
        """A folder that cannot be read or removed keeps none of the others."""
        try:
            yield
        except (EmserveError, ValidationError) as error:
            reason = error.for_operators if isinstance(error, EmserveError) else str(error)
            self._complaints.make(job_id, "cannot sweep", reason=reason)
        else:
            self._complaints.withdraw(job_id)
