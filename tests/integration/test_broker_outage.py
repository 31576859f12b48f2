"""A broker that is down for a while, with its file or without, under a worker that stays warm."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emserve import storage
from emserve.book import JobBook
from emserve.broker import EmbeddedBroker
from emserve.errors import BrokerUnavailable
from emserve.jobs import JobStatus
from emserve.live import Filter
from emserve.parts import Lifeline, RunningPart
from emserve.reconciler import Reconciler
from emserve.settings import Settings
from emserve.tickets import connect
from tests.integration.workshop import PATIENCE_SECONDS, Worker, Workshop, eventually
from tests.pictures import large_image


class _Site:
    """A workshop whose broker can be taken away."""

    def __init__(
        self, broker: EmbeddedBroker, running: RunningPart, workshop: Workshop, worker: Worker
    ) -> None:
        self.workshop = workshop
        self.worker = worker
        self._broker = broker
        self._running = running

    def kill_broker(self) -> None:
        self._running.kill()

    def lose_broker(self, seconds: float, *, with_file: bool) -> None:
        """The broker is killed, and started again after `seconds`."""
        self.kill_broker()
        if with_file:
            shutil.rmtree(self.workshop.data_dir / "broker" / "appendonlydir")
        time.sleep(seconds)
        self._running = self._broker.launch()


@contextlib.contextmanager
def _open_site(data_dir: Path, **variables: str) -> Iterator[_Site]:
    """`variables` are the worker's."""
    settings = Settings(data_dir=data_dir)
    lifeline = Lifeline()
    broker = EmbeddedBroker(settings, lifeline)
    running = broker.start()
    try:
        with contextlib.closing(connect(settings.redis_url)) as redis:
            book = JobBook(storage.open_store(settings.storage_url), redis)
            workshop = Workshop(settings.data_dir, book, lifeline)
            with workshop.worker(**variables) as worker:
                yield _Site(broker, running, workshop, worker)
    finally:
        broker.stop()
        lifeline.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Site]:
    with _open_site(tmp_path_factory.mktemp("outage") / "data") as opened:
        yield opened


@pytest.mark.parametrize(("seconds", "lose_file"), [(1, False), (10, True)])
def test_jobs_outlive_the_broker_and_the_model_stays_warm(
    site: _Site, seconds: float, lose_file: bool
) -> None:
    workshop, child = site.workshop, site.worker.child
    running, queued = (workshop.submit(large_image(side)) for side in (1024, 256))
    workshop.runs(running)
    site.lose_broker(seconds, with_file=lose_file)

    reconciler = Reconciler(workshop.book)

    def ended() -> bool:
        with contextlib.suppress(BrokerUnavailable):  # it has just been started
            reconciler.run_once()
        return all(workshop.book.end_of(job_id) for job_id in (running, queued))

    eventually(ended, "the end of both")
    assert workshop.succeeded(running).attempt == 1
    assert workshop.succeeded(queued).attempt == 1
    listed = [job.id for job in workshop.book.page(Filter(), None, 10).jobs]
    assert {running, queued} <= set(listed)
    assert site.worker.running.is_alive
    assert site.worker.child == child


def test_a_worker_outlives_a_broker_that_refuses_to_write(site: _Site) -> None:
    workshop, child = site.workshop, site.worker.child
    redis = workshop.book.tickets.queue.connection
    first = workshop.submit(large_image(1024))
    workshop.runs(first)
    redis.config_set("min-replicas-to-write", 1)  # refuses every write, as it does on a full disk
    eventually(lambda: workshop.book.end_of(first), "the end in storage")
    eventually(lambda: "hands out nothing" in site.worker.log, "the worker's asking for more")
    redis.config_set("min-replicas-to-write", 0)
    workshop.succeeded(workshop.submit(large_image(256)))
    assert site.worker.running.is_alive
    assert site.worker.child == child


def test_a_worker_told_to_stop_while_the_broker_is_away_finishes_its_job(tmp_path: Path) -> None:
    with _open_site(tmp_path / "data", EMSERVE_SHUTDOWN_SECONDS=str(PATIENCE_SECONDS)) as site:
        workshop, worker = site.workshop, site.worker
        job_id = workshop.submit(large_image(1024))
        workshop.runs(job_id)
        child = worker.child
        child.suspend()  # so that the job does not end before the worker is told
        site.kill_broker()
        worker.running.terminate()
        eventually(lambda: "cannot renew the lease" in worker.log, "the worker's work without a broker")
        child.resume()
        eventually(lambda: not worker.running.is_alive, "the worker's end")

        end = workshop.book.end_of(job_id)
        assert end is not None
        assert (end.status, end.attempt) == (JobStatus.SUCCEEDED, 1)
