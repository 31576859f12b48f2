"""A broker, a store and workers without the API: what becomes of a job is seen where it is decided."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import obstore
import psutil
from numpy.typing import NDArray

from emserve import storage
from emserve.book import JobBook
from emserve.broker import EmbeddedBroker
from emserve.ids import new_id
from emserve.jobs import Job, JobInput, JobRecord, JobStatus, PinnedModel
from emserve.params import Parameters
from emserve.parts import Lifeline, Part, RunningPart
from emserve.settings import Settings
from emserve.tickets import connect
from tests.pictures import tiff
from tests.running_service import environment

T = TypeVar("T")

PATIENCE_SECONDS = 90
"""For what nobody promises a time: only what hangs takes as long, however busy the machine is."""

STARTER = PinnedModel(name="mitonet", version="starter", sha256=None)


def eventually(look: Callable[[], T | None], what: str, seconds: float = PATIENCE_SECONDS) -> T:
    """The first answer of `look` that is neither None nor false."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = look()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")


def is_gone(process: psutil.Process) -> bool:
    """Whether it has ended, so that its parent would know if it asked."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it may go between two looks
        # While its threads are ending it is a zombie, too, but its parent is told that it lives.
        has_ended = process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
        return has_ended or not process.is_running()
    return True


def record_of(shape: tuple[int, ...] = (64, 64), **changes: Any) -> JobRecord:
    """A record as the API would write it; `changes` are fields of it."""
    given = JobInput(
        filename="cell.tif",
        bytes=1,
        sha256="0" * 64,
        shape=list(shape),
        axes="YX" if len(shape) == 2 else "ZYX",
        dtype="uint8",
        pixel_size_nm=None,
        pixel_size_source=None,
    )
    fields: dict[str, Any] = {
        "id": new_id(),
        "model": STARTER,
        "params": Parameters(),
        "tags": {},
        "warnings": [],
        "input": given,
        "created_at": datetime.now(UTC),
    }
    return JobRecord(**{**fields, **changes})


class Worker:
    """One `python -m workers.main`."""

    def __init__(self, running: RunningPart, name: str) -> None:
        self.running = running
        self.name = name

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.running.pid)

    @property
    def child(self) -> psutil.Process:
        """The warm child, as soon as there is one."""
        return eventually(self._child, f"the child of {self.name}")

    def _child(self) -> psutil.Process | None:
        with contextlib.suppress(psutil.Error):
            return next((one for one in self.process.children() if "workers.child" in one.cmdline()), None)
        return None

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Meanwhile no job starts: the worker has at most been handed one ticket, which it has not seen."""
        self.process.suspend()
        try:
            yield
        finally:
            self.process.resume()

    @property
    def log(self) -> str:
        return self.running.last_words(lines=1000)


class Workshop:
    """Where jobs are accepted and worked on; only the API is missing."""

    def __init__(self, data_dir: Path, book: JobBook, lifeline: Lifeline) -> None:
        self.data_dir = data_dir
        self.book = book
        self._lifeline = lifeline
        self._hired = 0

    def submit(self, image: NDArray[Any], params: Parameters | None = None) -> str:
        """Accepts a job for `image`; its id."""
        record = record_of(image.shape, params=params or Parameters())
        file = tiff(image, compression="zlib", photometric="minisblack")
        obstore.put(self.book.store, storage.input_key(record.id), file)
        self.book.accept(record)
        return record.id

    @contextlib.contextmanager
    def worker(self, device: str = "cpu", **settings: str) -> Iterator[Worker]:
        """A worker that is ready for tickets; gone afterwards."""
        self._hired += 1
        name = f"worker-{self._hired}"
        command = (sys.executable, "-m", "workers.main", "--device", device, "--name", name)
        variables = environment(
            EMSERVE_DATA_DIR=str(self.data_dir), EMSERVE_WARM_MODELS='["mitonet"]', **settings
        )
        running = RunningPart(Part(name, command, variables, self.data_dir / "logs"), self._lifeline)
        worker = Worker(running, name)
        try:
            eventually(lambda: "Listening on" in worker.log or not running.is_alive, "a worker")
            yield worker
        finally:
            running.stop(10)

    def runs(self, job_id: str, attempt: int = 1) -> Job:
        """The job as soon as its network runs in this attempt."""

        def look() -> Job | None:
            job = self.book.read(job_id)
            return job if job.stage == "infer" and job.attempt == attempt else None

        return eventually(look, f"attempt {attempt} at the network")

    def ended(self, job_id: str, seconds: float = PATIENCE_SECONDS) -> Job:
        """The job as soon as it has ended."""

        def look() -> Job | None:
            job = self.book.read(job_id)
            return job if job.status.ended else None

        return eventually(look, "the job's end", seconds)

    def succeeded(self, job_id: str, seconds: float = PATIENCE_SECONDS) -> Job:
        job = self.ended(job_id, seconds)
        assert job.status is JobStatus.SUCCEEDED, job.error
        return job

    def attempt_folders(self, job_id: str) -> list[Path]:
        """Of each attempt that counts, oldest first."""
        folder = self.data_dir / "store" / storage.attempts_prefix(job_id)
        # Without its note, as in the moment before it is whole, it does not count.
        notes = sorted(folder.glob("*/attempt.json"), key=lambda note: note.stat().st_mtime_ns)
        return [note.parent for note in notes]


@contextlib.contextmanager
def open_workshop(data_dir: Path) -> Iterator[Workshop]:
    """A workshop on an embedded broker of its own."""
    settings = Settings(data_dir=data_dir)
    lifeline = Lifeline()
    try:
        with EmbeddedBroker(settings, lifeline):
            redis = connect(settings.redis_url)
            with contextlib.closing(redis):
                book = JobBook(storage.open_store(settings.storage_url), redis)
                yield Workshop(settings.data_dir, book, lifeline)
    finally:
        lifeline.close()
