"""The job book and the reconciler on a real broker and a real store."""

import contextlib
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from redis import Redis

from emserve import storage
from emserve.book import JobBook
from emserve.errors import (
    BrokerUnavailable,
    InvalidRequest,
    JobDeleted,
    JobNotFound,
    RecordUnreadable,
)
from emserve.fleet import Fleet, WorkerEntry
from emserve.ids import new_id
from emserve.installer.removal import jobs_in_need
from emserve.jobs import JobStatus, PinnedModel
from emserve.live import Filter, LiveState
from emserve.reconciler import Reconciler
from emserve.settings import Settings
from emserve.sweeper import Sweeper
from emserve.tally import Event
from emserve.tickets import connect
from tests.integration.bookkeeping import accept, end_of, finish_part, lease, write
from tests.integration.workshop import record_of

_AS_PROCESS_SEVEN = """
import os, socket
from obstore.store import MemoryStore
from emserve.book import JobBook
from emserve.reconciler import Reconciler
from emserve.settings import Settings
from emserve.sweeper import Sweeper
from emserve.tickets import connect

os.getpid, socket.gethostname = lambda: 7, lambda: "host"
book = JobBook(MemoryStore(), connect("unix:///nowhere.sock"))
print(Reconciler(book)._owner, Sweeper(book, Settings())._owner)
"""
"""Says as whom it would lock."""


class TestEnds:
    def test_of_racing_ends_exactly_one_stands_and_all_read_it(self, book: JobBook) -> None:
        job_id = accept(book)
        ends = [end_of(f"execution-{number}") for number in range(16)]
        with ThreadPoolExecutor(16) as threads:
            standing = list(threads.map(lambda end: book.finish(job_id, end), ends))

        assert len({end.execution_id for end in standing}) == 1
        assert book.end_of(job_id) == standing[0]

    def test_a_late_cancel_changes_noend(self, book: JobBook) -> None:
        job_id = accept(book)
        book.finish(job_id, end_of("execution"))
        job, changed = book.cancel(job_id)
        assert not changed
        assert job.status is JobStatus.SUCCEEDED

    def test_a_late_result_does_not_undo_a_cancel(self, book: JobBook) -> None:
        job_id = accept(book)
        book.cancel(job_id)
        standing = book.finish(job_id, end_of("late"))
        assert standing.status is JobStatus.CANCELLED
        assert book.read(job_id).status is JobStatus.CANCELLED

    def test_what_other_attempts_wrote_goes_with_theend(self, book: JobBook) -> None:
        job_id = accept(book)
        first, second = (book.begin(job_id, name, "worker") for name in ("first", "second"))
        lost, kept = write(book, job_id, "first"), write(book, job_id, "second")
        book.finish(job_id, end_of(second.execution_id))

        assert not storage.exists(book.store, lost)
        assert storage.exists(book.store, kept)
        assert book.attempts.count(job_id) == 2
        assert (first.number, second.number) == (1, 2)

    def test_an_attempt_thought_dead_may_still_win_with_its_whole_result(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        job_id = accept(book)
        book.begin(job_id, "slow", "worker")
        redis.lrem("rq:queue:emserve", 0, job_id)
        written = write(book, job_id, "slow")
        reconciler.run_once()
        assert reconciler.run_once() == [job_id]

        book.finish(job_id, end_of("slow"))

        assert storage.exists(book.store, written)

    def test_who_took_a_job_for_lost_does_not_undo_what_is_said_of_its_end(self, book: JobBook) -> None:
        job_id = accept(book)
        book.begin(job_id, "paused", "worker")
        book.finish(job_id, end_of("paused"))  # by a worker that woke while its job was being resumed
        book.resume(job_id)
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            book.report(job_id, LiveState(status=status, attempt=2))
            assert book.page(Filter(status=status), None, 9).jobs == []
        assert [job.id for job in book.page(Filter(status=JobStatus.SUCCEEDED), None, 9).jobs] == [job_id]


class TestReconciler:
    def test_a_job_that_nobody_has_is_queued_again_after_two_passes(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        job_id = accept(book)
        redis.delete("rq:queue:emserve")
        assert reconciler.run_once() == []
        assert book.tickets.waiting() == []
        assert reconciler.run_once() == [job_id]
        assert book.tickets.waiting() == [job_id]
        assert reconciler.run_once() == []
        assert reconciler.run_once() == []
        assert book.tickets.waiting() == [job_id]

    def test_queued_and_leased_jobs_are_left_alone(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        queued, leased = accept(book), accept(book)
        lease(redis, leased)
        assert [reconciler.run_once() for _ in range(3)] == [[], [], []]
        assert book.tickets.waiting() == [queued]

    def test_a_lease_that_ran_out_is_nolease(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        job_id = accept(book)
        book.begin(job_id, "execution", "worker")
        lease(redis, job_id)
        assert reconciler.run_once() == []
        assert Reconciler(book, lease_seconds=0).run_once() == [job_id]
        assert book.tickets.leased() == set()
        assert book.read(job_id).attempt == 2

    def test_a_worker_that_died_with_a_job_that_need_not_run_again_leaves_no_ticket(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        ended, deleted, cancelled = (accept(book) for _ in range(3))
        for job_id in (ended, deleted, cancelled):
            lease(redis, job_id)
        book.cancel(cancelled)
        book.finish(ended, end_of("execution"))
        book.delete(deleted)
        assert reconciler.run_once() == []
        assert redis.keys("rq:job:*")
        assert Reconciler(book, lease_seconds=0).run_once() == [cancelled]
        assert book.read(cancelled).status is JobStatus.CANCELLED
        assert redis.keys("rq:job:*") == []

    def test_a_storage_that_lost_its_jobs_makes_it_forget_none(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        job_id = accept(book)
        redis.delete("rq:queue:emserve")
        record = storage.read(book.store, storage.record_key(job_id))
        assert record is not None
        storage.remove(book.store, storage.record_key(job_id))  # as when its folder is not mounted
        for _ in range(3):
            reconciler.run_once()
        assert book.live.active() == {job_id}
        storage.create(book.store, storage.record_key(job_id), record)
        reconciler.run_once()
        reconciler.run_once()
        assert book.tickets.waiting() == [job_id]

    def test_a_lost_job_whose_owner_cancelled_it_ends_cancelled(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        job_id = accept(book)
        lease(redis, job_id)
        job, _ = book.cancel(job_id)
        assert job.status is JobStatus.CANCELLING
        redis.delete("rq:wip:emserve")
        reconciler.run_once()
        reconciler.run_once()
        assert book.read(job_id).status is JobStatus.CANCELLED
        assert book.tickets.waiting() == []

    def test_a_job_lost_three_times_fails(self, book: JobBook, reconciler: Reconciler, redis: Redis) -> None:
        job_id = accept(book)
        for name in ("a", "b", "c"):
            book.begin(job_id, name, "worker")
        redis.delete("rq:queue:emserve")
        reconciler.run_once()
        reconciler.run_once()
        job = book.read(job_id)
        assert job.status is JobStatus.FAILED
        assert job.error is not None
        assert job.error.type.endswith("job-lost")

    def test_a_job_that_gets_further_before_each_death_goes_on_until_three_finish_nothing(
        self, book: JobBook
    ) -> None:
        job_id = accept(book)
        for number in range(5):
            book.begin(job_id, f"fruitful-{number}", "worker")
            finish_part(book, job_id, f"part-{number}")
            book.lost(job_id, f"fruitful-{number}")
            assert book.read(job_id).status is JobStatus.QUEUED
        for number in range(3):
            assert book.read(job_id).attempt == 6 + number
            book.begin(job_id, f"fruitless-{number}", "worker")
            finish_part(book, job_id, "part-0")  # again, which is no progress
            book.lost(job_id, f"fruitless-{number}")
        job = book.read(job_id)
        assert (job.status, job.attempt) == (JobStatus.FAILED, 8)
        assert job.error is not None
        assert "lost the storage or its scratch folder, 8 times, and in the last 3" in job.error.detail

    def test_a_lost_broker_is_told_everything_again(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        ended, queued = accept(book, tags={"series": "a"}), accept(book)
        book.finish(ended, end_of("execution"))
        obstore.put(book.store, storage.input_key(new_id()), b"an upload that is no job yet")
        redis.flushall()
        for _ in range(3):
            reconciler.run_once()

        page = book.page(Filter(), None, 10)
        assert [job.id for job in page.jobs] == [queued, ended]
        assert [job.id for job in book.page(Filter(status=JobStatus.SUCCEEDED), None, 10).jobs] == [ended]
        assert [job.id for job in book.page(Filter(tag=("series", "a")), None, 10).jobs] == [ended]
        assert book.tickets.waiting() == [queued]

    def test_of_two_reconcilers_one_works(self, book: JobBook, reconciler: Reconciler, redis: Redis) -> None:
        accept(book)
        redis.delete("rq:queue:emserve")
        assert not book.live.acquire("reconciler", "another", 5)
        assert reconciler.run_once() == []
        assert book.live.acquire("reconciler", reconciler._owner, 5)

    def test_two_that_share_host_name_and_process_number_do_not_share_a_lock(self, book: JobBook) -> None:
        command = [sys.executable, "-c", _AS_PROCESS_SEVEN]
        taken = [
            subprocess.run(command, capture_output=True, text=True, timeout=50, check=True).stdout.split()
            for _ in range(2)
        ]
        assert [len(owners) for owners in taken] == [2, 2]
        for one, other in zip(*taken, strict=True):
            assert book.live.acquire(f"of {one}", one, 5)
            assert not book.live.acquire(f"of {one}", other, 5)


class TestList:
    def test_pages_show_every_job_once_newest_first(self, book: JobBook) -> None:
        ids = [accept(book) for _ in range(7)]
        seen, before = [], None
        while True:
            page = book.page(Filter(), before, 3)
            seen += [job.id for job in page.jobs]
            if (before := page.next_page_token) is None:
                break
        assert seen == sorted(ids, reverse=True)

    def test_a_last_page_that_is_full_has_no_successor(self, book: JobBook) -> None:
        for _ in range(4):
            accept(book)
        assert book.page(Filter(), None, 4).next_page_token is None
        assert book.page(Filter(), None, 3).next_page_token is not None

    def test_filters_choose_by_status_model_tag_and_time(self, book: JobBook) -> None:
        other = PinnedModel(name="mitonet-mini", version="1", sha256=None)
        first = accept(book, tags={"series": "a:b", "who": "me"})
        time.sleep(0.002)
        middle = datetime.now(UTC)
        time.sleep(0.002)
        second = accept(book, model=other, tags={"series": "c"})
        book.finish(second, end_of("execution", JobStatus.FAILED))

        def found(**chosen: object) -> list[str]:
            return [job.id for job in book.page(Filter.model_validate(chosen), None, 10).jobs]

        assert found(status="queued") == [first]
        assert found(status="failed") == [second]
        assert found(status="running") == []
        assert found(model="mitonet") == [first]
        assert found(model="mitonet@starter") == [first]
        assert found(model="mitonet-mini@1") == [second]
        assert found(model="mito") == []
        assert found(tag=("series", "a:b")) == [first]
        assert found(tag=("series", "b")) == []
        assert found(tag=("who", "me"), status="failed") == []
        assert found(created_after=middle) == [second]
        assert found(created_after=middle + timedelta(hours=1)) == []

    def test_a_filter_that_passes_few_looks_through_the_whole_list(self, book: JobBook) -> None:
        wanted = accept(book, tags={"rare": "yes"})
        for _ in range(250):  # more than the list is read at a time
            book.live.add(record_of(), LiveState(status=JobStatus.QUEUED))
        assert [job.id for job in book.page(Filter(tag=("rare", "yes")), None, 5).jobs] == [wanted]


class TestAcceptance:
    def test_an_accepted_job_is_durable_listed_and_queued(self, book: JobBook) -> None:
        first, second = accept(book), accept(book)
        assert storage.exists(book.store, storage.record_key(first))
        assert book.tickets.waiting() == [first, second]
        job = book.read(second)
        assert job.status is JobStatus.QUEUED
        assert job.attempt == 1
        assert job.queue is not None
        assert job.queue.position == 1

    @pytest.mark.parametrize("job_id", ["", "nobody", "../../etc/passwd", "a/b", "é", "x" * 65])
    def test_an_id_of_no_job_is_not_found(self, book: JobBook, job_id: str) -> None:
        with pytest.raises(JobNotFound):
            book.read(job_id)

    def test_without_a_broker_nothing_is_accepted_and_nothing_stays(self, tmp_path: Path) -> None:
        store = storage.open_store((tmp_path / "store").as_uri())
        with contextlib.closing(connect(f"unix://{tmp_path}/nowhere.sock")) as absent:
            book = JobBook(store, absent)
            record = record_of()
            with pytest.raises(BrokerUnavailable):
                book.accept(record)
            with pytest.raises(JobNotFound):
                book.read(record.id)
        assert storage.children(store, storage.JOBS) == []

    @pytest.mark.parametrize(
        "fault", [InvalidRequest("Its model is gone."), OSError("no such disk")], ids=str
    )
    def test_a_job_that_is_not_confirmed_was_visible_and_leaves_nothing(
        self, book: JobBook, fault: Exception
    ) -> None:
        record, seen = record_of(), list[str]()

        def refuse() -> None:
            seen.extend(jobs_in_need(book, record.model.id))
            raise fault

        book.live.mark_built()
        with pytest.raises(type(fault)):
            book.accept(record, refuse)
        assert record.id in seen
        assert record.id not in jobs_in_need(book, record.model.id)
        assert book.tickets.position(record.id) is None
        with pytest.raises(JobNotFound):
            book.read(record.id)

    def test_what_a_broker_heard_of_a_job_that_was_not_accepted_goes_later(
        self, book: JobBook, reconciler: Reconciler, tmp_path: Path
    ) -> None:
        record = record_of()
        absent = connect(f"unix://{tmp_path}/nowhere.sock")
        with contextlib.closing(absent), pytest.raises(BrokerUnavailable):
            JobBook(book.store, absent).accept(record)
        # As when the connection broke between the command and its answer.
        book.live.add(record, LiveState(status=JobStatus.QUEUED))
        for _ in range(3):
            reconciler.run_once()
        assert book.live.active() == set()

    def test_without_a_broker_an_accepted_job_is_read_with_a_warning(
        self, book: JobBook, tmp_path: Path
    ) -> None:
        job_id = accept(book)
        with contextlib.closing(connect(f"unix://{tmp_path}/nowhere.sock")) as absent:
            job = JobBook(book.store, absent).read(job_id)
        assert [warning.code for warning in job.warnings] == ["live-state-unavailable"]

    def test_a_job_given_back_counts_no_attempt(self, book: JobBook, redis: Redis) -> None:
        job_id = accept(book)
        redis.delete("rq:queue:emserve")
        book.begin(job_id, "execution", "worker")
        write(book, job_id, "execution")
        book.give_back(job_id, "execution")
        assert book.attempts.count(job_id) == 0
        assert book.read(job_id).attempt == 1
        assert book.tickets.waiting() == [job_id]


class TestLosses:
    """What a broker forgets, and what a storage cannot read, costs no job its place."""

    def test_a_job_that_reports_on_is_listed_again(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        job_id = accept(book)
        book.begin(job_id, "execution", "worker")
        redis.flushall()
        running = LiveState(status=JobStatus.RUNNING, attempt=1, started_at=datetime.now(UTC))
        book.report(job_id, running)  # before anybody looks
        lease(redis, job_id)
        reconciler.run_once()
        assert [job.status for job in book.page(Filter(), None, 9).jobs] == [JobStatus.RUNNING]
        assert book.page(Filter(model=book.record(job_id).model.name), None, 9).jobs
        assert book.live.active() == {job_id}

    def test_a_worker_has_time_to_renew_a_lease_that_the_broker_lost(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        job_id, waiting = accept(book), accept(book)
        for number in range(3):
            book.begin(job_id, f"execution-{number}", "worker")
        redis.flushall()
        assert [reconciler.run_once() for _ in range(3)] == [[], [waiting], []]  # nobody has begun that one
        lease(redis, job_id)
        book.live.mark_settling(0.001)
        time.sleep(0.01)
        assert [reconciler.run_once() for _ in range(3)] == [[], [], []]
        assert book.end_of(job_id) is None
        redis.zrem("rq:wip:emserve", f"{job_id}:execution")
        reconciler.run_once()
        assert reconciler.run_once() == [job_id]  # dead after all, three times
        assert book.read(job_id).status is JobStatus.FAILED

    def test_a_job_with_a_worker_is_not_resumed(self, book: JobBook, redis: Redis) -> None:
        job_id = accept(book)
        for number in range(3):
            book.begin(job_id, f"execution-{number}", "worker")
        lease(redis, job_id)
        book.resume(job_id)
        assert book.end_of(job_id) is None
        assert book.tickets.waiting() == []

    def test_what_the_broker_forgot_while_nobody_looked_is_found_at_the_start(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        kept, forgotten = accept(book), accept(book)
        reconciler.run_once()
        book.live.forget(forgotten)  # as a broker that is started from an older file
        book.tickets.remove(forgotten)
        again = Reconciler(book)
        redis.delete("emserve:lock:reconciler")
        again.run_once()
        assert {job.id for job in book.page(Filter(), None, 9).jobs} == {kept, forgotten}
        again.run_once()
        assert set(book.tickets.waiting()) == {kept, forgotten}

    def test_a_job_whose_end_the_storage_forgot_runs_again_whatever_the_broker_remembers(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        ended, cancelling = accept(book), accept(book)
        book.finish(ended, end_of("execution"))
        lease(redis, cancelling)
        book.cancel(cancelling)
        for key in (storage.end_key(ended), storage.cancel_key(cancelling)):  # set back to an older copy
            storage.remove(book.store, key)
        for job_id in (ended, cancelling):
            redis.zrem("emserve:jobs", job_id)
        for key in ("emserve:index-built", "rq:queue:emserve", "rq:wip:emserve"):
            redis.delete(key)
        for _ in range(3):
            reconciler.run_once()
        assert set(book.tickets.waiting()) == {ended, cancelling} == book.live.active()
        assert {job.id for job in book.page(Filter(status=JobStatus.QUEUED), None, 9).jobs} == {
            ended,
            cancelling,
        }

    def test_live_data_of_another_version_holds_nobody_up(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        foreign, lost = accept(book), accept(book)
        redis.hset(f"emserve:job:{foreign}", "state", '{"status":"running","attempt":1,"stage":"refine"}')
        assert book.read(foreign).status is JobStatus.QUEUED
        assert [job.id for job in book.page(Filter(), None, 9).jobs] == [lost, foreign]
        assert [job.id for job in book.page(Filter(status=JobStatus.QUEUED), None, 9).jobs] == [lost, foreign]
        redis.zrem("emserve:jobs", foreign)
        for key in ("emserve:active", "emserve:index-built", "rq:queue:emserve"):
            redis.delete(key)
        book.live.add(book.record(lost), LiveState(status=JobStatus.QUEUED))
        for _ in range(3):
            reconciler.run_once()
        assert set(book.tickets.waiting()) == {foreign, lost}

    def test_a_worker_of_another_version_is_no_worker_that_anybody_understands(
        self, book: JobBook, redis: Redis
    ) -> None:
        fleet = Fleet(redis)
        known = WorkerEntry(name="w1", device="cpu")
        fleet.renew(known)
        redis.sadd("emserve:workers", "w9")
        redis.set("emserve:worker:w9", '{"name":"w9","devices":["cpu"]}')
        assert fleet.workers() == [known]
        assert book.tally.totals().get(Event.WORKER_LOST) is None

    def test_the_sweeper_finds_a_job_whose_end_the_storage_forgot(
        self, book: JobBook, reconciler: Reconciler, tmp_path: Path
    ) -> None:
        job_id = accept(book)
        book.finish(job_id, end_of("execution"))
        book.tickets.remove(job_id)
        storage.remove(book.store, storage.end_key(job_id))
        Sweeper(book, Settings(data_dir=tmp_path)).run_once()
        assert [reconciler.run_once() for _ in range(2)] == [[], [job_id]]
        assert book.tickets.waiting() == [job_id]

    def test_a_record_that_cannot_be_read_holds_nobody_up(
        self, book: JobBook, reconciler: Reconciler, redis: Redis
    ) -> None:
        bad, lost, foreign = accept(book), accept(book), accept(book)
        obstore.put(book.store, storage.record_key(bad), b"")
        newer = book.record(foreign).model_dump(mode="json")
        newer["params"]["of_a_newer_version"] = 1
        obstore.put(book.store, storage.record_key(foreign), json.dumps(newer).encode())
        for broken in (bad, foreign):
            for look in (book.read, book.record, book.cancel):
                with pytest.raises(RecordUnreadable, match=broken):
                    look(broken)
        assert [job.id for job in book.page(Filter(), None, 9).jobs] == [lost]
        redis.delete("rq:queue:emserve")
        reconciler.run_once()
        assert reconciler.run_once() == [lost]
        assert book.tickets.waiting() == [lost]
        assert [reconciler.run_once() for _ in range(3)] == [[], [], []]
        redis.flushall()
        reconciler.run_once()
        assert book.live.listed() == {lost}
        for broken in (bad, foreign):
            book.delete(broken)
            with pytest.raises(JobDeleted):
                book.read(broken)

    @pytest.mark.parametrize("name", ["job.json", "end.json"])
    def test_what_a_newer_version_wrote_is_not_read_and_the_log_says_so_once(
        self, book: JobBook, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        job_id, other = accept(book), accept(book)
        book.finish(job_id, end_of("execution"))
        key = f"{storage.job_prefix(job_id)}/{name}"
        value = storage.read(book.store, key)
        assert value is not None
        obstore.put(book.store, key, json.dumps(json.loads(value) | {"schema_version": 2}).encode())
        with pytest.raises(RecordUnreadable, match="written by a newer version"):
            book.read(job_id)
        for _ in range(3):
            assert [job.id for job in book.page(Filter(), None, 9).jobs] == [other]
        assert [(line.message, line.__dict__["job_id"]) for line in caplog.records] == [
            ("cannot show a job in the list", job_id)
        ]

        obstore.put(book.store, key, value)
        assert book.read(job_id).status is JobStatus.SUCCEEDED

    @pytest.mark.parametrize("is_listed", [True, False])
    def test_a_model_is_kept_for_jobs_of_its_own_that_cannot_be_read_and_for_no_others(
        self, book: JobBook, is_listed: bool
    ) -> None:
        newer, damaged, ended = accept(book), accept(book), accept(book)
        book.finish(ended, end_of("execution"))
        card_id = book.record(newer).model.id
        foreign = book.record(newer).model_dump(mode="json") | {"schema_version": 2}
        obstore.put(book.store, storage.record_key(newer), json.dumps(foreign).encode())
        for job_id in (damaged, ended):
            obstore.put(book.store, storage.record_key(job_id), b"{")
        if is_listed:  # the broker knows the model of a record that nobody can read
            book.live.mark_built()
        else:
            for job_id in (newer, damaged, ended):
                book.live.forget(job_id)
        assert jobs_in_need(book, card_id) == ([newer, damaged] if is_listed else [newer])
        assert jobs_in_need(book, "another@1") == []

    def test_an_end_that_cannot_be_read_is_told(self, book: JobBook) -> None:
        job_id = accept(book)
        obstore.put(book.store, storage.end_key(job_id), b"")
        with pytest.raises(RecordUnreadable):
            book.read(job_id)
        book.delete(job_id)

    def test_a_note_of_an_attempt_that_cannot_be_read_keeps_no_job(self, book: JobBook, redis: Redis) -> None:
        job_id = accept(book)
        redis.delete("rq:queue:emserve")
        book.begin(job_id, "execution", "worker")
        obstore.put(book.store, storage.attempt_key(job_id, "execution"), b"")
        book.lost(job_id, "execution")
        assert book.tickets.waiting() == [job_id]

    def test_a_cancel_that_was_cut_off_ends_the_job_when_it_is_read(self, book: JobBook) -> None:
        job_id = accept(book)
        storage.create(book.store, storage.cancel_key(job_id), b"{}")  # and then the broker was away
        assert book.read(job_id).status is JobStatus.CANCELLED
        assert book.tickets.waiting() == []

    def test_a_lock_that_is_kept_is_kept_as_long_again(self, book: JobBook, redis: Redis) -> None:
        assert book.live.acquire("name", "me", 0.5)
        assert book.live.acquire("name", "me", 60)
        assert redis.pttl("emserve:lock:name") > 50_000
        assert not book.live.acquire("name", "another", 60)
