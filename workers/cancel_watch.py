"""Whether a job should stop: asked of the storage beside the supervisor's other work."""

import contextvars
import logging
import threading
from types import TracebackType
from typing import Self

from emserve.book import JobBook
from emserve.errors import EmserveError

log = logging.getLogger(__name__)


class CancelWatch:
    """Asks again and again, in a thread of its own, while it is entered.

    A storage that takes a question and does not answer must keep nobody from renewing the lease, from ending
    what takes too long, or from stopping the worker.
    """

    def __init__(self, book: JobBook, job_id: str, pause_seconds: float) -> None:
        self._book = book
        self._job_id = job_id
        self._pause_seconds = pause_seconds
        self._wanted = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        ask = contextvars.copy_context().run  # its log lines know the job
        threading.Thread(target=ask, args=(self._ask,), name="cancel-watch", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()  # it is not waited for: it may be waiting for the storage

    @property
    def is_wanted(self) -> bool:
        """Whether the owner said so, as far as the storage has answered."""
        return self._wanted.is_set()

    def _ask(self) -> None:
        while not self._over.is_set():
            try:
                if self._book.wants_cancel(self._job_id):
                    self._wanted.set()
                    return
            except EmserveError as error:
                log.warning("cannot look for a cancel; working on", extra={"reason": error.for_operators})
            except Exception:
                log.exception("cannot look for a cancel; working on")
            self._over.wait(self._pause_seconds)
