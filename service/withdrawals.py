"""Uploads that were refused while the storage could not be written: they become no job later."""

from emserve.book import JobBook


class Withdrawals:
    """Takes back what the storage may have taken before it went away. In memory: of one that stops
    before the storage is back, a job may remain that its sender was told to submit again."""

    def __init__(self, book: JobBook) -> None:
        self._book = book
        self._job_ids: set[str] = set()

    def add(self, job_id: str) -> None:
        self._job_ids.add(job_id)

    def run_once(self) -> None:
        """Takes back all that are left. Raises StorageFull and StorageUnavailable."""
        for job_id in sorted(self._job_ids):
            self._book.withdraw(job_id)
            self._job_ids.discard(job_id)
