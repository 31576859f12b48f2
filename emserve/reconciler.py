"""The reconciler: every accepted job without an end is queued or leased, or gets queued again."""

import logging

from emserve.book import JobBook
from emserve.complaints import Complaints
from emserve.errors import FileRefused, JobDeleted, JobNotFound, RecordUnreadable
from emserve.lease_watch import LeaseWatch
from emserve.live import LiveState, lock_owner
from emserve.logs import about
from emserve.tally import Event
from emserve.tickets import LEASE_SECONDS, job_of

log = logging.getLogger(__name__)

LOCK_SECONDS = 5.0


class Reconciler:
    """Compares storage, queue and leases. Of several, in as many processes, one works at a time."""

    def __init__(self, book: JobBook, lease_seconds: float = LEASE_SECONDS) -> None:
        self._book = book
        self._watch = LeaseWatch(lease_seconds)
        self._owner = lock_owner()
        self._lease_seconds = lease_seconds
        self._suspects: set[str] = set()
        self._complaints = Complaints(log)
        self._has_looked = False

    def run_once(self) -> list[str]:
        """One pass. Returns the ids of the jobs that it put right."""
        # Also while another works: whoever follows it must not begin to watch only then.
        run_out = self._watch.run_out(self._book.tickets.leases())
        if not self._book.live.acquire("reconciler", self._owner, LOCK_SECONDS):
            return []
        is_built = self._book.live.is_built
        # At the first pass it may have gone back in time; what it loses in between, the sweeper finds.
        if not is_built or not self._has_looked:
            count = self._list_unlisted()
            if count:
                self._book.live.mark_settling(self._lease_seconds)
            if count or not is_built:
                self._book.live.mark_built()
                log.info("index rebuilt", extra={"jobs": count})
            self._has_looked = True
        return self._resume_lost(run_out)

    def _list_unlisted(self) -> int:
        """Lists again what the broker does not know, and says how much that was."""
        # By the list itself: a worker that reports on has brought a job's state back, and nothing else.
        listed = self._book.live.listed()
        count = 0
        for job_id in self._book.stored_ids():
            if job_id in listed:
                continue
            try:
                self._book.list_again(job_id)
            except JobNotFound:  # an upload that has not become a job
                continue
            except RecordUnreadable as error:
                log.warning("cannot list a job", extra={"job_id": job_id, "reason": error.for_operators})
                continue
            count += 1
        return count

    def _resume_lost(self, run_out: list[str]) -> list[str]:
        # Between two steps of a worker a job is for a moment neither queued nor leased, so one in that
        # state is lost if two passes in a row find it there, or if its lease ran out.
        tickets = self._book.tickets
        expired = {job_of(lease) for lease in run_out if self._drop(lease)}
        held = set(tickets.waiting()) | tickets.leased()
        active = self._book.live.active()
        for job_id in expired - active - held:  # it ended, and its worker died before it could say so
            tickets.remove(job_id)
        suspects = active - held
        lost = sorted(suspects & (self._suspects | expired))
        if self._book.live.is_settling:  # a worker may have it, and renew a lease that the broker forgot
            lost = [job_id for job_id in lost if job_id in expired or not self._book.attempts.count(job_id)]
        self._suspects = suspects - set(lost)
        return [job_id for job_id in lost if self._can_put_right(job_id)]

    def _can_put_right(self, job_id: str) -> bool:
        try:
            self._put_right(job_id)
        except (RecordUnreadable, FileRefused) as error:  # it keeps none of the others
            self._complaints.make(job_id, "cannot resume a job", reason=error.for_operators)
            return False
        except JobDeleted:
            self._book.live.forget(job_id)
        except JobNotFound:  # that may be the storage's fault, as when its folder is not mounted
            reason = "The storage does not know it. Delete it, if it was removed by hand."
            self._complaints.make(job_id, "cannot resume a job", reason=reason)
            return False
        self._complaints.withdraw(job_id)
        return True

    def _drop(self, lease: str) -> bool:
        dropped = self._book.tickets.drop_lease(lease)
        if dropped:
            self._book.tally.add(Event.LEASE_LOST)
        return dropped

    def _put_right(self, job_id: str) -> None:
        self._book.tickets.remove(job_id)  # what is left of one that a dead worker had
        end = self._book.end_of(job_id)
        if end is not None:
            self._book.live.put_state(job_id, LiveState(status=end.status, attempt=end.attempt))
            return
        record = self._book.record(job_id)
        with about(**record.traces):
            log.warning("job had neither ticket nor worker; resumed")
            self._book.resume(job_id)
