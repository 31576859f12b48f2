"""What a supervisor wants to know of the storage while it does other things."""

import contextvars
import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from emserve.errors import EmserveError

log = logging.getLogger(__name__)

_IN_VAIN = "asked the storage in vain; working on"


class Watch:
    """Asks a question until the answer is yes, in a thread of its own, while it is entered.

    A storage that takes a question and does not answer must keep nobody from renewing the lease, from ending
    what takes too long, or from stopping the worker.
    """

    def __init__(self, name: str, ask: Callable[[], bool], pause_seconds: float) -> None:
        self._name = name
        self._ask = ask
        self._pause_seconds = pause_seconds
        self._yes = threading.Event()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        run = contextvars.copy_context().run  # its log lines know the job
        threading.Thread(target=run, args=(self._run,), name=self._name, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()  # the thread is not waited for: it may be waiting for the storage

    @property
    def is_yes(self) -> bool:
        """Whether the storage has said so."""
        return self._yes.is_set()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                if self._ask():
                    self._yes.set()
                    return
            except EmserveError as error:
                log.warning(_IN_VAIN, extra={"asked": self._name, "reason": error.for_operators})
            except Exception:
                log.exception(_IN_VAIN, extra={"asked": self._name})
            self._over.wait(self._pause_seconds)
