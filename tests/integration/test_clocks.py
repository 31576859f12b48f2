"""Clocks that are set while jobs run, or that differ between machines: no lease depends on what they show."""

import time

import pytest
from redis import Redis

from emserve.book import JobBook
from emserve.lease_watch import LeaseWatch
from emserve.reconciler import Reconciler
from tests.integration.bookkeeping import accept, lease
from tests.integration.workshop import Workshop
from tests.pictures import large_image

_HOUR = 3600


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("ahead_seconds", [-_HOUR, _HOUR])
def test_a_job_runs_on_while_the_clock_is_set(workshop: Workshop, ahead_seconds: float) -> None:
    reconciler = Reconciler(workshop.book)
    redis = workshop.book.tickets.queue.connection
    job_id = workshop.submit(large_image(1024))
    workshop.runs(job_id)
    resumed: list[str] = []
    while not workshop.book.read(job_id).status.ended:
        for held in workshop.book.tickets.leases():  # where its end lies until the worker renews it
            redis.zadd("rq:wip:emserve", {held: time.time() + ahead_seconds}, xx=True)
        resumed += reconciler.run_once()
        time.sleep(0.2)

    assert resumed == []
    assert workshop.succeeded(job_id).attempt == 1


@pytest.mark.parametrize("ahead_seconds", [-_HOUR, 0, _HOUR])
def test_a_lease_holds_as_long_as_it_is_renewed_whatever_its_workers_clock_shows(
    book: JobBook, reconciler: Reconciler, redis: Redis, ahead_seconds: float
) -> None:
    assert reconciler.run_once() == []
    patient = Reconciler(book, lease_seconds=0.3)
    job_id = accept(book)
    for _ in range(8):
        lease(redis, job_id, ahead_seconds)
        assert patient.run_once() == []
        time.sleep(0.06)
    begun = time.monotonic()
    while not patient.run_once():
        time.sleep(0.05)
    assert time.monotonic() - begun < 5
    assert book.tickets.waiting() == [job_id]


def test_time_in_which_nobody_could_look_costs_no_lease() -> None:
    watch = LeaseWatch(seconds=2.1)
    assert watch.run_out({"job:execution": 1.0}) == []
    time.sleep(2.2)
    assert watch.run_out({"job:execution": 1.0}) == []
    time.sleep(0.2)
    assert watch.run_out({"job:execution": 1.0}) == ["job:execution"]
