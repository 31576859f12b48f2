"""The reconciler: every accepted job without an end is queued or leased, or gets queued again."""

import logging
import os
import socket

from emserve import storage
from emserve.book import JobBook
from emserve.errors import JobNotFound
from emserve.jobs import JobStatus
from emserve.live import LiveState
from emserve.logs import about
from emserve.tally import Event

log = logging.getLogger(__name__)

LOCK_SECONDS = 5.0


class Reconciler:
    """Compares storage, queue and leases. Of several, in as many processes, one works at a time."""

    def __init__(self, book: JobBook) -> None:
        self._book = book
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._suspects: set[str] = set()

    def run_once(self) -> list[str]:
        """One pass. Returns the ids of the jobs that it put right."""
        if not self._book.live.acquire("reconciler", self._owner, LOCK_SECONDS):
            return []
        if not self._book.live.is_built:
            self._rebuild()
        return self._resume_lost()

    def _rebuild(self) -> None:
        """Lists every stored job again, after the broker's data went."""
        count = 0
        for job_id in storage.children(self._book.store, storage.JOBS):
            try:
                record = self._book.record(job_id)
            except JobNotFound:  # an upload that has not become a job
                continue
            if self._book.live.state(job_id) is None:
                end = self._book.end_of(job_id)
                status = end.status if end else JobStatus.QUEUED
                attempt = end.attempt if end else self._book.attempts(job_id) + 1
                self._book.live.add(record, LiveState(status=status, attempt=attempt))
                if end is None and self._book.wants_cancel(job_id):
                    self._book.live.mark_cancelling(job_id)
                count += 1
        self._book.live.mark_built()
        log.info("index rebuilt", extra={"jobs": count})

    def _resume_lost(self) -> list[str]:
        # Between two steps of a worker a job is for a moment neither queued nor leased, so only
        # one that two passes in a row find in that state is lost.
        tickets = self._book.tickets
        for _ in range(tickets.forget_expired()):
            self._book.tally.add(Event.LEASE_LOST)
        held = set(tickets.waiting()) | tickets.leased()
        suspects = self._book.live.active() - held
        lost = sorted(suspects & self._suspects)
        self._suspects = suspects - set(lost)
        for job_id in lost:
            self._put_right(job_id)
        return lost

    def _put_right(self, job_id: str) -> None:
        end = self._book.end_of(job_id)
        if end is not None:
            self._book.live.put_state(job_id, LiveState(status=end.status, attempt=end.attempt))
            return
        try:
            record = self._book.record(job_id)
        except JobNotFound:
            self._book.live.forget(job_id)
            return
        with about(**record.traces):
            log.warning("job had neither ticket nor worker; resumed")
            self._book.tickets.drop_taken(job_id)
            self._book.resume(job_id)
