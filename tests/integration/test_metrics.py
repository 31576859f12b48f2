"""What workers count arrives at /metrics of the API, by way of the broker."""

import time
from collections.abc import Mapping

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from emserve.fleet import Fleet
from emserve.reconciler import Reconciler
from emserve.tally import Event, Tally
from emserve.tickets import LEASE_SECONDS
from tests.integration.api_calls import runs, submit, succeeded
from tests.integration.workshop import Workshop, eventually, is_gone
from tests.pictures import large_image
from tests.running_service import RunningService

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def workshop(vacant: Workshop) -> Workshop:
    """Nobody takes a job here but whom a test hires."""
    return vacant


@pytest.fixture
def redis(workshop: Workshop) -> Redis:
    return workshop.book.tickets.queue.connection


def _scrape(http: httpx.Client) -> Samples:
    families = text_string_to_metric_families(http.get("/metrics").text)
    return {
        (sample.name.removeprefix("emserve_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def _value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def test_a_job_that_is_lost_once_is_counted_at_every_step(
    service: RunningService, http: httpx.Client
) -> None:
    before = _scrape(http)
    job_id = submit(http, large_image(1024))
    runs(http, job_id)
    child = service.child()
    child.suspend()  # so that it does not end before somebody has looked
    during = _scrape(http)
    child.kill()
    succeeded(http, job_id)

    def released() -> Samples | None:
        samples = _scrape(http)
        return None if _value(samples, "running_jobs") else samples

    after = eventually(released, "the released lease")

    assert _value(during, "running_jobs") == 1
    assert 0 < _value(during, "lease_age_seconds") < LEASE_SECONDS
    assert _value(after, "lease_age_seconds") == 0

    def grown(name: str, **labels: str) -> float:
        return _value(after, name, **labels) - _value(before, name, **labels)

    assert grown("jobs_accepted_total") == 1
    assert grown("attempts_total", outcome="died") == 1
    assert grown("attempts_total", outcome="ended") == 1
    assert grown("jobs_requeued_total") == 1
    assert grown("jobs_ended_total", status="succeeded") == 1
    for stage in ("decode", "infer", "group", "write"):
        assert grown("stage_seconds_total", stage=stage) > 0


def test_a_dead_image_process_is_counted_by_what_it_was_doing(
    service: RunningService, http: httpx.Client
) -> None:
    succeeded(http, submit(http, large_image(256)))
    before = _value(_scrape(http), "image_process_deaths_total", doing="rest")
    images = [each for each in service.part("api").children() if "workers.images" in each.cmdline()]
    for each in images:
        each.kill()
    eventually(lambda: all(is_gone(each) for each in images), "their end")
    succeeded(http, submit(http, large_image(256)))
    assert _value(_scrape(http), "image_process_deaths_total", doing="rest") > before


def test_a_failed_job_is_counted_by_its_problem(workshop: Workshop) -> None:
    tally = workshop.book.tally
    before = tally.totals().get(Event.JOB_FAILED, {}).get("job-lost", 0)
    job_id = workshop.submit(large_image(256))
    for number in range(3):
        workshop.book.begin(job_id, f"execution-{number}", "nobody")
    workshop.book.resume(job_id)
    assert tally.totals()[Event.JOB_FAILED]["job-lost"] == before + 1
    assert workshop.book.finish(job_id, workshop.book.cancelled_end(3)).status == "failed"
    assert tally.totals()[Event.JOB_FAILED]["job-lost"] == before + 1, "only the end that stands counts"
    workshop.book.tickets.remove(job_id)


def test_a_worker_that_went_without_a_word_is_counted_once(workshop: Workshop, redis: Redis) -> None:
    before = _total(workshop, Event.WORKER_LOST)
    redis.sadd("emserve:workers", "ghost")
    for _ in range(3):
        assert "ghost" not in [worker.name for worker in Fleet(redis).workers()]
    assert _total(workshop, Event.WORKER_LOST) == before + 1


def test_a_lease_that_ran_out_is_counted_once(workshop: Workshop, redis: Redis) -> None:
    before = _total(workshop, Event.LEASE_LOST)
    redis.zadd("rq:wip:emserve", {"ghost:execution": time.time()})
    reconciler = Reconciler(workshop.book, lease_seconds=0)
    for _ in range(3):
        reconciler.run_once()
    assert _total(workshop, Event.LEASE_LOST) == before + 1


def test_what_another_version_counts_is_left_alone(workshop: Workshop, redis: Redis) -> None:
    redis.hset("emserve:tally", "miracles:", "1")
    assert "miracles" not in {event.value for event in workshop.book.tally.totals()}


def test_a_broker_that_is_away_costs_the_count_and_nothing_else(unused_socket: str) -> None:
    Tally(Redis.from_url(unused_socket)).add(Event.JOB_ACCEPTED)


@pytest.fixture
def unused_socket(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a server that is not there."""
    return f"unix://{tmp_path_factory.mktemp('nobody')}/valkey.sock"


def _total(workshop: Workshop, event: Event) -> float:
    return workshop.book.tally.totals().get(event, {}).get("", 0.0)
