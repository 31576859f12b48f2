"""Deleting on a real broker and a real store: in every state, against everything that writes late."""

import contextlib
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from emserve import storage
from emserve.book import JobBook
from emserve.errors import JobDeleted, JobNotFound
from emserve.jobs import JobStatus
from emserve.live import Filter
from emserve.pairing import Pairing
from emserve.reconciler import Reconciler
from emserve.tickets import connect
from tests.integration.bookkeeping import accept, end_of, lease, write
from workers.supervisor import Limits, Outcome, Supervisor
from workers.warm_child import WarmChild

State = Callable[[JobBook, Redis], str]
"""Makes a job in some state; its id."""


def _queued(book: JobBook, _: Redis) -> str:
    return accept(book)


def _leased(book: JobBook, redis: Redis) -> str:
    job_id = accept(book)
    lease(redis, job_id)
    return job_id


def _running(book: JobBook, redis: Redis) -> str:
    job_id = _leased(book, redis)
    book.begin(job_id, "execution", "worker")
    return job_id


def _writing(book: JobBook, redis: Redis) -> str:
    job_id = _running(book, redis)
    write(book, job_id, "execution")
    return job_id


def _cancelling(book: JobBook, redis: Redis) -> str:
    job_id = _writing(book, redis)
    book.cancel(job_id)
    return job_id


def _resumed(book: JobBook, redis: Redis) -> str:
    job_id = _writing(book, redis)
    redis.delete("rq:wip:emserve")
    book.lost(job_id, "execution")
    return job_id


def _ending(book: JobBook, redis: Redis) -> str:
    """The end is there, the lease not given up."""
    job_id = _writing(book, redis)
    book.finish(job_id, end_of("execution"))
    return job_id


def _ended(status: JobStatus) -> State:
    def make(book: JobBook, redis: Redis) -> str:
        job_id = _writing(book, redis)
        book.finish(job_id, end_of("execution" if status is JobStatus.SUCCEEDED else None, status))
        redis.delete("rq:wip:emserve")
        return job_id

    make.__name__ = f"_{status}"
    return make


_STATES = [
    _queued,
    _leased,
    _running,
    _writing,
    _cancelling,
    _resumed,
    _ending,
    *(_ended(status) for status in JobStatus if status.ended),
]


def _assert_gone(book: JobBook, redis: Redis, job_id: str) -> None:
    for look in (book.read, book.record, book.record_and_end, book.cancel):
        with pytest.raises(JobDeleted, match=job_id):
            look(job_id)
    assert storage.children(book.store, storage.JOBS) == []
    assert list(storage.changes(book.store, storage.JOBS)) == []
    assert book.page(Filter(), None, 10).jobs == []
    assert book.live.active() == set()
    assert not redis.exists(f"emserve:job:{job_id}")


@pytest.mark.parametrize("state", _STATES, ids=lambda state: state.__name__.strip("_"))
def test_a_job_in_any_state_is_deleted_and_stays_so(
    book: JobBook, reconciler: Reconciler, redis: Redis, state: State
) -> None:
    job_id = state(book, redis)
    book.delete(job_id)
    _assert_gone(book, redis, job_id)
    assert book.wants_cancel(job_id)
    assert book.tickets.waiting() == []

    tombstone = storage.read(book.store, storage.tombstone_key(job_id))
    assert tombstone is not None
    assert set(json.loads(tombstone)) == {"id", "deleted_at"}
    book.delete(job_id)
    assert storage.read(book.store, storage.tombstone_key(job_id)) == tombstone

    redis.flushall()
    for _ in range(3):
        reconciler.run_once()
    _assert_gone(book, redis, job_id)
    assert book.tickets.waiting() == []


def test_what_was_never_a_job_cannot_be_deleted(book: JobBook) -> None:
    for name in ("nobody", "../../etc", ""):
        with pytest.raises(JobNotFound) as refused:
            book.delete(name)
        assert not isinstance(refused.value, JobDeleted)
    assert list(storage.changes(book.store, storage.TOMBSTONES)) == []


def test_nothing_that_a_worker_does_late_brings_a_job_back(book: JobBook, redis: Redis) -> None:
    job_id = _running(book, redis)
    book.delete(job_id)

    with pytest.raises(JobDeleted):
        book.begin(job_id, "second", "worker")
    for late in (
        lambda: book.finish(job_id, end_of("execution")),
        lambda: book.lost(job_id, "execution"),
        lambda: book.give_back(job_id, "execution"),
        lambda: book.resume(job_id),
    ):
        write(book, job_id, "execution")
        late()
        _assert_gone(book, redis, job_id)
    assert book.tickets.waiting() == []


def test_what_is_rendered_while_a_job_is_deleted_does_not_stay(book: JobBook, redis: Redis) -> None:
    job_id = _ended(JobStatus.SUCCEEDED)(book, redis)

    def render() -> None:
        with book.unless_deleted(job_id):
            book.delete(job_id)
            storage.create(book.store, storage.render_key(job_id, "execution", "labels.npy"), b"labels")
            raise OSError("whatever went wrong for that reason")

    with pytest.raises(JobDeleted):
        render()
    _assert_gone(book, redis, job_id)


def test_without_a_broker_a_job_is_deleted_and_the_list_forgets_it_later(
    book: JobBook, redis: Redis, tmp_path: Path
) -> None:
    job_id, other = accept(book), accept(book)
    with contextlib.closing(connect(f"unix://{tmp_path}/nowhere.sock")) as absent:
        JobBook(book.store, absent).delete(job_id)
    with pytest.raises(JobDeleted):
        book.read(job_id)
    assert redis.zscore("emserve:jobs", job_id) is not None
    assert [job.id for job in book.page(Filter(), None, 10).jobs] == [other]
    assert redis.zscore("emserve:jobs", job_id) is None
    assert book.live.active() == {other}


def test_a_storage_that_has_lost_its_jobs_makes_nobody_forget_them(book: JobBook, redis: Redis) -> None:
    running, queued = _running(book, redis), accept(book)
    record = storage.read(book.store, storage.record_key(running))
    assert record is not None
    for job_id in (running, queued):  # as when its folder is not mounted
        storage.remove_all(book.store, storage.job_prefix(job_id))
    assert book.page(Filter(), None, 10).jobs == []
    assert not book.wants_cancel(running)
    book.lost(running, "execution")
    storage.create(book.store, storage.record_key(running), record)
    assert [job.id for job in book.page(Filter(), None, 10).jobs] == [running]
    assert book.live.active() == {running, queued}
    assert running in book.tickets.waiting()


def test_a_job_that_was_removed_by_hand_is_told_once_and_forgotten_when_it_is_deleted(
    book: JobBook, reconciler: Reconciler, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    waiting, unended = accept(book), accept(book)
    ended = _ended(JobStatus.SUCCEEDED)(book, redis)
    for job_id in (unended, ended):
        storage.remove_all(book.store, storage.job_prefix(job_id))
        book.tickets.remove(job_id)
    assert [reconciler.run_once() for _ in range(6)] == [[]] * 6
    assert [record.__dict__["job_id"] for record in caplog.records] == [unended]
    for job_id in (unended, ended):
        book.delete(job_id)
        book.delete(job_id)
        with pytest.raises(JobDeleted):
            book.read(job_id)
    assert book.live.listed() == {waiting} == book.live.active()


def test_whoever_races_with_a_deletion_nothing_is_left(book: JobBook, redis: Redis) -> None:
    chance = random.Random(5)
    with ThreadPoolExecutor(6) as threads:
        for _ in range(100):
            job_id = _writing(book, redis)
            doings = [
                lambda: book.delete(job_id),  # noqa: B023 - all are over before the next round
                lambda: book.delete(job_id),  # noqa: B023
                lambda: book.cancel(job_id),  # noqa: B023
                lambda: book.finish(job_id, end_of("execution")),  # noqa: B023
                lambda: book.finish(job_id, book.cancelled_end(1)),  # noqa: B023
                lambda: book.lost(job_id, "execution"),  # noqa: B023
                lambda: book.begin(job_id, "second", "worker"),  # noqa: B023
            ]
            chance.shuffle(doings)
            for done in [threads.submit(_after, chance.uniform(0, 0.003), each) for each in doings]:
                with contextlib.suppress(JobNotFound):
                    done.result()
            redis.delete("rq:wip:emserve")
            _assert_gone(book, redis, job_id)


def test_a_deletion_between_a_readers_look_and_its_note_is_not_undone(
    book: JobBook, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = _running(book, redis)
    storage.create(book.store, storage.cancel_key(job_id), b"{}")  # a wish that the broker did not hear
    _delete_just_before(book, book.live, "mark_cancelling", monkeypatch)
    with pytest.raises(JobDeleted, match=job_id):
        book.read(job_id)
    redis.delete("rq:wip:emserve")
    _assert_gone(book, redis, job_id)


def test_a_deletion_while_a_job_is_queued_again_is_not_undone(
    book: JobBook, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = _running(book, redis)
    redis.delete("rq:wip:emserve")
    _delete_just_before(book, book.live, "put_state", monkeypatch)
    book.lost(job_id, "execution")
    _assert_gone(book, redis, job_id)


def _delete_just_before(book: JobBook, actor: object, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a deletion come between what a method's caller has seen and what it does."""
    do = getattr(actor, method)

    def delete_first(job_id: str, *rest: object) -> None:
        book.delete(job_id)
        do(job_id, *rest)

    monkeypatch.setattr(actor, method, delete_first)


def test_of_a_cancel_and_an_end_that_race_the_first_stands_with_its_result(
    book: JobBook, redis: Redis
) -> None:
    chance = random.Random(6)
    with ThreadPoolExecutor(3) as threads:
        for _ in range(100):
            job_id = _running(book, redis)
            piece = write(book, job_id, "execution")
            doings: list[Callable[[], object]] = [
                lambda: book.finish(job_id, end_of("execution")),  # noqa: B023
                lambda: book.cancel(job_id),  # noqa: B023
                # what the supervisor does that saw the wish
                lambda: book.finish(job_id, book.cancelled_end(1)),  # noqa: B023
            ]
            for done in [threads.submit(_after, chance.uniform(0, 0.003), each) for each in doings]:
                done.result()
            redis.delete("rq:wip:emserve")
            job = book.read(job_id)
            assert job.status in (JobStatus.SUCCEEDED, JobStatus.CANCELLED)
            assert storage.exists(book.store, piece) == (job.status is JobStatus.SUCCEEDED)
            assert book.page(Filter(status=job.status), None, 1).jobs == [job]


def test_a_reason_to_stop_that_comes_after_the_end_takes_no_result(book: JobBook, redis: Redis) -> None:
    job_id = accept(book)
    attempt = book.begin(job_id, "execution", "worker")
    piece = write(book, job_id, "execution")
    book.finish(job_id, end_of("execution"))
    pairing = Pairing(book.store, redis, "memory:///")
    supervisor = Supervisor("late", redis, book, WarmChild("cpu", {}), Limits(1, 1, 1), pairing)
    for outcome in Outcome:
        supervisor._judge(outcome, job_id, attempt)
        assert book.read(job_id).status is JobStatus.SUCCEEDED
        assert storage.exists(book.store, piece)


@pytest.mark.parametrize("undo", [JobBook.lost, JobBook.give_back], ids=["died", "stopped"])
def test_an_attempt_that_goes_after_its_end_keeps_its_result(
    book: JobBook, redis: Redis, undo: Callable[[JobBook, str, str], None]
) -> None:
    job_id = _running(book, redis)
    piece = write(book, job_id, "execution")
    book.finish(job_id, end_of("execution"))
    undo(book, job_id, "execution")
    assert book.read(job_id).status is JobStatus.SUCCEEDED
    assert storage.exists(book.store, piece)
    assert book.tickets.waiting() == []


class TestListOfCancelling:
    def test_a_job_that_is_cancelled_while_it_runs_is_listed_as_cancelling(
        self, book: JobBook, redis: Redis
    ) -> None:
        other, job_id = _running(book, redis), _running(book, redis)
        book.cancel(job_id)
        book.begin(job_id, "again", "worker")  # reports that it runs, as a child does that knows nothing yet
        self._assert_listed(book, cancelling=[job_id], running=[other])
        redis.delete("rq:wip:emserve")
        book.resume(job_id)
        self._assert_listed(book, cancelling=[], running=[other])
        assert [job.id for job in book.page(Filter(status=JobStatus.CANCELLED), None, 9).jobs] == [job_id]

    def test_also_after_the_broker_lost_its_data(self, book: JobBook, redis: Redis) -> None:
        job_id = _running(book, redis)
        book.cancel(job_id)
        redis.flushall()
        lease(redis, job_id)
        Reconciler(book).run_once()
        self._assert_listed(book, cancelling=[job_id], running=[])

    def test_a_wish_that_the_broker_did_not_hear_is_listed_once_somebody_looked(
        self, book: JobBook, redis: Redis
    ) -> None:
        job_id = _running(book, redis)
        storage.create(book.store, storage.cancel_key(job_id), b"{}")
        assert book.read(job_id).status is JobStatus.CANCELLING
        self._assert_listed(book, cancelling=[job_id], running=[])

    def _assert_listed(self, book: JobBook, cancelling: list[str], running: list[str]) -> None:
        for status, ids in ((JobStatus.CANCELLING, cancelling), (JobStatus.RUNNING, running)):
            jobs = book.page(Filter(status=status), None, 9).jobs
            assert [job.id for job in jobs] == ids
            assert {job.status for job in jobs} <= {status}


def _after(seconds: float, do: Callable[[], object]) -> None:
    time.sleep(seconds)
    do()
