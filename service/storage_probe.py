"""Questions to the storage for health, asked with a limit of time."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Generic, TypeVar

from emserve.errors import EmserveError, StorageUnavailable

_ANSWER_SECONDS = 5.0  # a storage that needs longer than this for a few bytes is of no use

Answer = TypeVar("Answer")


class StorageProbe(Generic[Answer]):
    """Asks once at a time, however often health is asked; any thread may call."""

    def __init__(self, question: Callable[[], Answer]) -> None:
        """`question` raises EmserveError where the answer is no good."""
        self._question = question
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._last_fault = ""

    def begin(self) -> Callable[[], Answer]:
        """Asks; what it returns waits for the answer, so that several probes wait at the same time.

        That raises what the question does, and StorageUnavailable for a storage that is silent.
        """
        deadline = time.monotonic() + _ANSWER_SECONDS
        return partial(self._answer, self._thread.submit(self._ask), deadline)

    def _answer(self, asked: Future[Answer], deadline: float) -> Answer:
        try:
            return asked.result(deadline - time.monotonic())
        except TimeoutError as error:
            asked.cancel()  # one that waits behind another asks nothing more
            raise StorageUnavailable(
                f"The storage has not answered for {_ANSWER_SECONDS:g} seconds. Jobs already accepted are "
                "safe.",
                cause=self._last_fault,
            ) from error

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self) -> Answer:
        try:
            answer = self._question()
        except EmserveError as error:
            self._last_fault = error.cause
            raise
        self._last_fault = ""
        return answer
