"""What is wrong with single jobs, told once each: who looks every second must not fill the log."""

import logging


class Complaints:
    """Says of each job once what is wrong with it, and again only after it was well in between."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._made: set[str] = set()

    def make(self, job_id: str, event: str, **reasons: str) -> None:
        if job_id not in self._made:
            self._made.add(job_id)
            self._log.warning(event, extra={"job_id": job_id, **reasons})

    def withdraw(self, job_id: str) -> None:
        self._made.discard(job_id)
