"""Tickets that others put into the queue are refused, and nothing that they name is ever called."""

import json
import pickle
import zlib
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis

from emserve.ids import new_id
from emserve.jobs import JobStatus
from emserve.tally import Event
from emserve.tickets import QUEUE, TASK
from tests.integration.workshop import Worker, Workshop, eventually
from tests.pictures import large_image


@pytest.fixture
def redis(workshop: Workshop) -> Redis:
    return workshop.book.tickets.queue.connection


def _smuggle(redis: Redis, data: bytes, ticket_id: str, **fields: str) -> None:
    """Queues a ticket as somebody with access to the broker would."""
    times = {"created_at": "2026-01-01T00:00:00.000000Z", "enqueued_at": "2026-01-01T00:00:00.000000Z"}
    texts = {**times, "origin": QUEUE, "status": "queued", "timeout": "-1", **fields}
    key = f"rq:job:{ticket_id}"
    for name, value in texts.items():
        redis.hset(key, name, value)
    redis.hset(key, "data", zlib.compress(data))
    redis.lpush(f"rq:queue:{QUEUE}", ticket_id)


def _call(function: str, *arguments: object, **named: object) -> bytes:
    return json.dumps([function, None, list(arguments), named]).encode()


class _Explosive:
    """Leaves a file where it is unpickled."""

    def __init__(self, marker: str) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return Path.touch, (Path(self._marker),)  # type: ignore[return-value]


def _refused(workshop: Workshop, worker: Worker, redis: Redis, ticket_id: str) -> None:
    """The ticket is gone without a trace and the same worker, the same child, runs the next job."""
    before = worker.running.pid, worker.child.pid
    job_id = workshop.submit(large_image(256))
    workshop.succeeded(job_id)
    assert not redis.exists(f"rq:job:{ticket_id}")
    assert redis.lrange(f"rq:queue:{QUEUE}:intermediate", 0, -1) == []
    eventually(lambda: not workshop.book.tickets.leased(), "the released lease", 5)
    assert (worker.running.pid, worker.child.pid) == before


def test_a_ticket_for_another_function_is_refused(
    workshop: Workshop, worker: Worker, redis: Redis, tmp_path: Path
) -> None:
    marker, ticket_id = tmp_path / "called", new_id()
    _smuggle(redis, _call("os.mkdir", str(marker)), ticket_id)
    _refused(workshop, worker, redis, ticket_id)
    assert not marker.exists()


def test_a_pickled_ticket_is_never_unpickled(
    workshop: Workshop, worker: Worker, redis: Redis, tmp_path: Path
) -> None:
    marker, ticket_id = tmp_path / "unpickled", new_id()
    _smuggle(redis, pickle.dumps((_Explosive(str(marker)), None, (), {})), ticket_id)
    _refused(workshop, worker, redis, ticket_id)
    assert not marker.exists()


def test_a_refused_ticket_is_logged_and_counted(workshop: Workshop, worker: Worker, redis: Redis) -> None:
    before = workshop.book.tally.totals().get(Event.TICKET_REFUSED, {}).get("", 0)
    ticket_id = new_id()
    _smuggle(redis, _call("os.getcwd"), ticket_id)
    _refused(workshop, worker, redis, ticket_id)
    assert workshop.book.tally.totals()[Event.TICKET_REFUSED][""] == before + 1
    lines = [json.loads(line) for line in worker.log.splitlines() if ticket_id in line]
    assert "refused a ticket that is not ours" in [line["event"] for line in lines]


@pytest.mark.parametrize(
    "data",
    [
        _call(TASK, "another-id"),
        _call(TASK),
        _call(TASK, "ID", "more"),
        _call(TASK, "ID", evil=True),
        json.dumps([TASK, None, None, {}]).encode(),
        json.dumps([TASK, None, 5, {}]).encode(),
        json.dumps([None, None, ["ID"], {}]).encode(),
        json.dumps([TASK, "emserve.settings.Settings", ["ID"], {}]).encode(),
        b'"a text"',
        b"[]",
        b"",
        b"\xff\xfe garbage",
    ],
    ids=lambda data: data[:60].decode(errors="replace"),
)
def test_a_malformed_ticket_is_refused(workshop: Workshop, worker: Worker, redis: Redis, data: bytes) -> None:
    ticket_id = new_id()
    _smuggle(redis, data.replace(b"ID", ticket_id.encode()), ticket_id)
    _refused(workshop, worker, redis, ticket_id)


def test_a_ticket_whose_id_is_a_path_is_refused(workshop: Workshop, worker: Worker, redis: Redis) -> None:
    ticket_id = "../../etc"
    _smuggle(redis, _call(TASK, ticket_id), ticket_id)
    _refused(workshop, worker, redis, "nothing of it, but what nobody can read stays under its own key")
    redis.delete(f"rq:job:{ticket_id}")


def test_a_ticket_whose_fields_cannot_be_read_is_refused(
    workshop: Workshop, worker: Worker, redis: Redis
) -> None:
    ticket_id = new_id()
    _smuggle(redis, _call(TASK, ticket_id), ticket_id, created_at="yesterday", timeout="long")
    _refused(workshop, worker, redis, "as above")
    redis.delete(f"rq:job:{ticket_id}")


def test_a_ticket_for_a_job_that_does_not_exist_is_dropped_and_left_to_others_for_a_moment(
    workshop: Workshop, worker: Worker, redis: Redis
) -> None:
    ticket_id = new_id()
    _smuggle(redis, _call(TASK, ticket_id), ticket_id)
    _refused(workshop, worker, redis, ticket_id)
    assert not (workshop.data_dir / "store" / "jobs" / ticket_id).exists()
    lines = [json.loads(line) for line in worker.log.splitlines() if line.startswith("{")]
    told = next(line for line in lines if line.get("job_id") == ticket_id)
    assert told["level"] == "warning"
    assert "the storage does not know this job" in told["event"]
    later = [line["timestamp"] for line in lines if line["timestamp"] > told["timestamp"]]
    pause = datetime.fromisoformat(later[0]) - datetime.fromisoformat(told["timestamp"])
    assert pause > timedelta(seconds=2)


def test_a_second_ticket_for_a_running_job_does_not_run_it_twice(
    workshop: Workshop, worker: Worker, redis: Redis
) -> None:
    job_id = workshop.submit(large_image(1024))
    workshop.runs(job_id)
    redis.lpush(f"rq:queue:{QUEUE}", job_id)

    with workshop.worker():
        job = workshop.succeeded(job_id)
        eventually(lambda: not workshop.book.tickets.waiting(), "the empty queue")

    assert job.status is JobStatus.SUCCEEDED
    assert workshop.book.attempts.count(job_id) == 1
    assert worker.running.is_alive
