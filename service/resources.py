"""What the front end works with; made once when it starts, closed when it stops."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from obstore.store import ObjectStore
from redis import Redis

from emserve.book import JobBook
from emserve.cards import Catalogue
from emserve.errors import EmserveError
from emserve.fleet import Fleet
from emserve.imaging_pool import ImagingPool
from emserve.reconciler import Reconciler
from emserve.settings import Settings
from emserve.storage import open_store
from emserve.tickets import connect

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 1.0
_IMAGING_THREADS = 64

Result = TypeVar("Result")


@dataclass(frozen=True)
class Resources:
    """Everything that outlives a request."""

    settings: Settings
    store: ObjectStore
    redis: Redis
    book: JobBook
    fleet: Fleet
    imaging: ImagingPool
    imaging_threads: Executor
    """Where calls of the pool wait for a free process, so that nothing else waits behind them."""

    async def run_imaging(self, call: Callable[[], Result]) -> Result:
        """Runs a blocking `call` that may wait for an image process."""
        return await asyncio.get_running_loop().run_in_executor(self.imaging_threads, call)

    @property
    def catalogue(self) -> Catalogue:
        """The cards as they are on disk at this moment, so that an installed model needs no restart."""
        return Catalogue(self.settings.models, self.settings.model_pin)


@contextlib.asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Opens store and broker, and keeps the reconciler running meanwhile."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    store = open_store(settings.storage_url)
    redis = connect(settings.redis_url)
    book = JobBook(store, redis)
    imaging = ImagingPool(
        size=settings.renderers,
        memory_bytes=settings.decode_memory_bytes,
        cpu_seconds=settings.decode_seconds,
    )
    threads = ThreadPoolExecutor(_IMAGING_THREADS, thread_name_prefix="imaging")
    reconciling = asyncio.create_task(_reconcile_for_ever(Reconciler(book)))
    try:
        yield Resources(settings, store, redis, book, Fleet(redis), imaging, threads)
    finally:
        reconciling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reconciling
        await asyncio.to_thread(imaging.close)
        threads.shutdown(wait=False, cancel_futures=True)
        redis.close()


async def _reconcile_for_ever(reconciler: Reconciler) -> None:
    while True:
        try:
            await asyncio.to_thread(reconciler.run_once)
        except EmserveError as error:
            log.warning("reconciler waits", extra={"reason": str(error)})
        except Exception:
            log.exception("reconciler failed; it goes on")
        await asyncio.sleep(RECONCILE_SECONDS)
