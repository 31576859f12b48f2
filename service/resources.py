"""What the front end works with; made once when it starts, closed when it stops."""

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import anyio.to_thread
from obstore.store import ObjectStore
from redis import Redis

from emserve import storage
from emserve.book import JobBook
from emserve.cards import Catalogue
from emserve.errors import BrokerUnavailable, EmserveError, StorageFull, StorageUnavailable
from emserve.fleet import Fleet
from emserve.imaging_pool import ImagingPool
from emserve.pairing import Pairing
from emserve.reconciler import Reconciler
from emserve.settings import Settings
from emserve.storage import open_store
from emserve.sweeper import Sweeper
from emserve.tally import Event
from emserve.tenancy import Tenancy
from emserve.tickets import connect
from service.intake import Intake
from service.renderings import Renderings
from service.storage_probe import StorageProbe
from service.under_way import UnderWay
from service.withdrawals import Withdrawals

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 1.0
WITHDRAW_SECONDS = 1.0
_ADMISSION_THREADS = 64
_READING_THREADS = 64
_ROUTE_THREADS = 256
_KEEPERS = 4
_FIRST_LOOK_SECONDS = 5.0
_LAST_ADMISSION_SECONDS = 3.0  # with what uvicorn gives before: less than after which `emserve up` kills
_LAST_REMOVAL_SECONDS = 1.0

Result = TypeVar("Result")


@dataclass(frozen=True)
class Resources:
    """Everything that outlives a request."""

    settings: Settings
    store: ObjectStore
    redis: Redis
    book: JobBook
    fleet: Fleet
    intake: Intake
    withdrawals: Withdrawals
    uploads: UnderWay
    """Until each of them is a job, or nothing is left of it."""
    imaging: ImagingPool
    admission_threads: Executor
    """Where admissions wait for a free image process, so that nothing else waits behind them; what a refused
    upload left is removed there too."""
    renderings: Renderings
    storage_probe: StorageProbe[None]
    """Whether the storage takes and gives."""
    room_probe: StorageProbe[None]
    """Whether the disks have room."""
    free_probe: StorageProbe[int]
    """How many bytes are free on the data folder's disk."""

    async def run_admission(self, call: Callable[[], Result]) -> Result:
        """Runs a blocking `call` about an upload; its log lines know this request.

        It always comes to its end, and that is told also to who is cancelled meanwhile: what was made a job
        must not be taken for an upload that was cut off.
        """
        context = contextvars.copy_context()
        ending = asyncio.get_running_loop().run_in_executor(self.admission_threads, context.run, call)
        while not ending.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([ending])
        return ending.result()

    @property
    def catalogue(self) -> Catalogue:
        """The cards as they are on disk at this moment, so that an installed model needs no restart."""
        return Catalogue(self.settings.models, self.settings.model_pin)


@contextlib.asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Opens store and broker, and keeps the reconciler and the sweeper running meanwhile.

    Raises ForeignBroker where the two do not belong together, and StorageInUse where another service works on
    the storage."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    store = open_store(settings.storage_url)
    redis = connect(settings.redis_url)
    pairing = Pairing(store, redis, settings.storage_url)
    tenancy = Tenancy(store, redis, settings.storage_url)
    # What is not answered now is asked again by the keepers; the process is alive meanwhile.
    with contextlib.suppress(BrokerUnavailable, StorageFull, StorageUnavailable, TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(pairing.claim), _FIRST_LOOK_SECONDS)
        # What is waited for is another machine's doing: no event of ours tells of it.
        while not await asyncio.wait_for(asyncio.to_thread(tenancy.renew), _FIRST_LOOK_SECONDS):  # noqa: ASYNC110
            await asyncio.sleep(RECONCILE_SECONDS)
    book = JobBook(store, redis, timedelta(days=settings.keep_jobs_days) or None)
    imaging = ImagingPool(
        size=settings.renderers,
        memory_bytes=settings.decode_memory_bytes,
        cpu_seconds=settings.decode_seconds,
        on_death=lambda doing: book.tally.add(Event.IMAGE_PROCESS_DIED, doing),
    )
    admissions = ThreadPoolExecutor(_ADMISSION_THREADS, thread_name_prefix="admission")
    # Of several processes one is left for headers, so that big renderings keep no upload waiting.
    renderings = Renderings(at_once=max(1, settings.renderers - 1), limit=settings.max_renderings)
    intake = Intake(settings, store, book.tickets)
    probes = (
        StorageProbe(lambda: storage.probe(store)),
        StorageProbe(intake.check_room),
        StorageProbe(intake.free_bytes),
    )
    # Their own numbers of threads are soon up where a storage takes long to answer.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_READING_THREADS, "reading"))
    anyio.to_thread.current_default_thread_limiter().total_tokens = _ROUTE_THREADS
    keeping = ThreadPoolExecutor(_KEEPERS, thread_name_prefix="keeper")
    reconciler, sweeper, withdrawals = Reconciler(book), Sweeper(book, settings), Withdrawals(book)

    def reconcile() -> None:
        with contextlib.suppress(StorageFull):  # a disk without room for an id keeps no job waiting
            pairing.claim()  # again, since a broker that lost its data has no owner
        if tenancy.is_ours:
            reconciler.run_once()

    keepers = (
        asyncio.create_task(_repeat(keeping, "reconciler", reconcile, RECONCILE_SECONDS)),
        asyncio.create_task(_repeat(keeping, "tenancy", tenancy.renew, RECONCILE_SECONDS)),
        asyncio.create_task(_repeat(keeping, "sweeper", sweeper.run_once, settings.sweep_seconds)),
        asyncio.create_task(_repeat(keeping, "withdrawals", withdrawals.run_once, WITHDRAW_SECONDS)),
    )
    uploads = UnderWay()
    try:
        yield Resources(
            settings,
            store,
            redis,
            book,
            Fleet(redis),
            intake,
            withdrawals,
            uploads,
            imaging,
            admissions,
            renderings,
            *probes,
        )
    finally:
        sweeper.stop()
        await uploads.over(_LAST_ADMISSION_SECONDS)
        await asyncio.to_thread(imaging.close)  # whose header is still being read is refused now
        await uploads.over(_LAST_REMOVAL_SECONDS)
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        await asyncio.to_thread(sweeper.release)
        await asyncio.to_thread(tenancy.leave)
        renderings.close()
        for threads in (admissions, keeping):
            threads.shutdown(wait=False, cancel_futures=True)
        for probe in probes:
            probe.close()
        redis.close()


async def _repeat(threads: Executor, name: str, run_once: Callable[[], object], pause_seconds: float) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            await loop.run_in_executor(threads, run_once)
        except EmserveError as error:
            log.warning("%s waits", name, extra={"reason": error.for_operators})
        except Exception:
            log.exception("%s failed; it goes on", name)
        await asyncio.sleep(pause_seconds)
