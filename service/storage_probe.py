"""Questions to the storage for health, asked with a limit of time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from emserve.errors import EmserveError, StorageUnavailable

_ANSWER_SECONDS = 5.0  # a storage that needs longer than this for a few bytes is of no use


class StorageProbe:
    """Asks once at a time, however often health is asked; any thread may call."""

    def __init__(self, question: Callable[[], None]) -> None:
        """`question` raises EmserveError where the answer is no good."""
        self._question = question
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._last_fault = ""

    def check(self) -> None:
        """Raises what the question does, and StorageUnavailable for a storage that is silent."""
        asked = self._thread.submit(self._ask)
        try:
            asked.result(_ANSWER_SECONDS)
        except TimeoutError as error:
            asked.cancel()  # one that waits behind another asks nothing more
            raise StorageUnavailable(
                f"The storage has not answered for {_ANSWER_SECONDS:g} seconds. Jobs already accepted are "
                "safe.",
                cause=self._last_fault,
            ) from error

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _ask(self) -> None:
        try:
            self._question()
        except EmserveError as error:
            self._last_fault = error.cause
            raise
        self._last_fault = ""
