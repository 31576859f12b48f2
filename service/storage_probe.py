"""Whether the storage takes and gives, asked with a limit of time."""

from concurrent.futures import ThreadPoolExecutor

from obstore.store import ObjectStore

from emserve import storage
from emserve.errors import EmserveError, StorageUnavailable

_ANSWER_SECONDS = 5.0  # a storage that needs longer than this for a few bytes is of no use


class StorageProbe:
    """Asks once at a time, however often health is asked; any thread may call."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._last_fault = ""

    def check(self) -> None:
        """Raises StorageUnavailable, also for a storage that is silent, and StorageFull."""
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
            storage.probe(self._store)
        except EmserveError as error:
            self._last_fault = error.cause
            raise
        self._last_fault = ""
