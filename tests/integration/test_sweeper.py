"""The sweeper on a real broker and a real store: what has expired goes, what is in use stays."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from redis import Redis

from emserve import storage
from emserve.book import JobBook
from emserve.errors import JobDeleted, JobNotFound, RecordUnreadable
from emserve.ids import new_id
from emserve.jobs import JobStatus
from emserve.live import Filter
from emserve.scratch import scratch_folder
from emserve.settings import Settings
from emserve.sweeper import QUIET, Sweeper
from tests.integration.bookkeeping import accept, end_of, lease, write
from tests.integration.workshop import record_of

_WEEK, _MONTH = timedelta(days=7), timedelta(days=30)

Make = Callable[..., Sweeper]


@pytest.fixture
def sweeper_of(redis: Redis, tmp_path: Path) -> Make:
    """A sweeper of a book, in a process that nothing else is in."""

    def make(book: JobBook, **settings: float) -> Sweeper:
        redis.delete("emserve:lock:sweeper")
        return Sweeper(book, Settings(data_dir=tmp_path, **settings))  # type: ignore[arg-type]  # by name

    return make


def _later(passed: timedelta = timedelta()) -> datetime:
    return datetime.now(UTC) + passed + timedelta(minutes=1)


def _local(book: JobBook) -> Path:
    """The folder of a local store, which alone shows files that are being written."""
    folder = storage.local_folder(book.store)
    assert folder is not None
    return folder


def _age(path: Path, by: timedelta) -> None:
    moment = (datetime.now(UTC) - by).timestamp()
    os.utime(path, (moment, moment))


class TestRetention:
    def test_a_job_expires_after_its_end_and_an_unended_one_never(
        self, book: JobBook, redis: Redis, sweeper_of: Make
    ) -> None:
        kept = JobBook(book.store, redis, keep=_WEEK)
        ended, running, queued = accept(kept), accept(kept), accept(kept)
        end = end_of("execution")
        kept.finish(ended, end)
        lease(redis, running)
        sweeper = sweeper_of(kept)

        assert kept.read(ended).expires_at == end.finished_at + _WEEK
        assert kept.read(queued).expires_at is None
        assert sweeper.run_once() == []
        assert sweeper.run_once(_later(_WEEK - QUIET)) == []
        assert sweeper.run_once(_later(_WEEK)) == [ended]
        with pytest.raises(JobDeleted):
            kept.read(ended)
        assert sweeper.run_once(_later(_WEEK)) == []
        assert {kept.read(running).status, kept.read(queued).status} == {JobStatus.QUEUED}

    def test_a_worker_whose_clock_is_behind_costs_no_result_its_time(
        self, book: JobBook, redis: Redis, sweeper_of: Make
    ) -> None:
        kept = JobBook(book.store, redis, keep=_WEEK)
        job_id = accept(kept)
        kept.finish(
            job_id, end_of("execution").model_copy(update={"finished_at": datetime(2020, 1, 1, tzinfo=UTC)})
        )
        assert kept.read(job_id).expires_at == kept.record(job_id).created_at + _WEEK
        sweeper = sweeper_of(kept)
        assert sweeper.run_once() == []
        assert sweeper.run_once(_later(_WEEK)) == [job_id]

    def test_without_a_limit_jobs_are_kept_for_ever(self, book: JobBook, sweeper_of: Make) -> None:
        job_id = accept(book)
        book.finish(job_id, end_of("execution"))
        assert book.read(job_id).expires_at is None
        assert sweeper_of(book).run_once(_later(timedelta(days=36_500))) == []
        assert book.read(job_id).status is JobStatus.SUCCEEDED

    def test_a_tombstone_goes_after_its_time(self, book: JobBook, sweeper_of: Make) -> None:
        job_id = accept(book)
        book.delete(job_id)
        sweeper = sweeper_of(book)
        sweeper.run_once(_later(_MONTH - QUIET))
        with pytest.raises(JobDeleted):
            book.read(job_id)
        sweeper.run_once(_later(_MONTH))
        with pytest.raises(JobNotFound) as refused:
            book.read(job_id)
        assert not isinstance(refused.value, JobDeleted)

    @pytest.mark.parametrize("book", ["local"], indirect=True)
    @pytest.mark.parametrize("name", [b"\xff.json", b"two\nlines", b"#1"])
    def test_a_strange_file_among_tombstones_keeps_none_of_them(
        self, book: JobBook, sweeper_of: Make, name: bytes
    ) -> None:
        job_id = accept(book)
        book.delete(job_id)
        folder = _local(book) / storage.TOMBSTONES
        strange = folder / os.fsdecode(name)
        strange.write_bytes(b"")
        for path in folder.iterdir():
            _age(path, timedelta(days=31))
        write(book, job_id, "late")
        sweeper = sweeper_of(book)
        assert sweeper.run_once() == [job_id]
        assert not (_local(book) / storage.job_prefix(job_id)).exists()
        assert list(folder.iterdir()) == [strange]

    def test_a_tombstone_stays_while_a_worker_has_the_job(
        self, book: JobBook, redis: Redis, sweeper_of: Make
    ) -> None:
        job_id = accept(book)
        lease(redis, job_id)
        book.delete(job_id)
        sweeper = sweeper_of(book, keep_tombstones_days=0)
        sweeper.run_once(_later())
        assert book.wants_cancel(job_id)
        redis.delete("rq:wip:emserve")
        sweeper.run_once(_later())
        assert list(storage.changes(book.store, storage.TOMBSTONES)) == []


class TestDeletedJobs:
    def test_a_deletion_that_a_crash_broke_off_is_finished(self, book: JobBook, sweeper_of: Make) -> None:
        job_id, other = accept(book), accept(book)
        storage.create(
            book.store, storage.tombstone_key(job_id), b'{"id":"x","deleted_at":"2026-01-02T03:04:05Z"}'
        )
        assert sweeper_of(book).run_once() == [job_id]
        with pytest.raises(JobDeleted, match="2026-01-02 at 03:04:05 UTC"):
            book.read(job_id)
        assert storage.children(book.store, storage.JOBS) == [other]

    def test_what_was_written_after_the_deletion_goes(self, book: JobBook, sweeper_of: Make) -> None:
        job_id = accept(book)
        book.delete(job_id)
        write(book, job_id, "execution")
        assert sweeper_of(book).run_once() == [job_id]
        assert storage.children(book.store, storage.JOBS) == []


class TestUploads:
    def test_one_that_became_no_job_goes_once_nobody_has_written_for_a_day(
        self, book: JobBook, sweeper_of: Make
    ) -> None:
        upload = new_id()
        obstore.put(book.store, storage.input_key(upload), b"whole, but its receiver was killed")
        job_id = accept(book)
        sweeper = sweeper_of(book)
        assert [sweeper.run_once() for _ in range(3)] == [[], [], []]
        assert sweeper.run_once(_later(QUIET)) == []
        assert sweeper.run_once(_later(QUIET)) == [upload]
        assert storage.children(book.store, storage.JOBS) == [job_id]

    def test_one_that_becomes_a_job_late_is_left_alone(self, book: JobBook, sweeper_of: Make) -> None:
        record = record_of()
        obstore.put(book.store, storage.input_key(record.id), b"whole")
        sweeper = sweeper_of(book)
        assert sweeper.run_once(_later(QUIET)) == []
        book.accept(record)
        assert [sweeper.run_once(_later(QUIET)) for _ in range(2)] == [[], []]
        assert storage.exists(book.store, storage.input_key(record.id))

    @pytest.mark.parametrize("book", ["local"], indirect=True)
    def test_one_that_takes_days_stays_while_its_file_grows(self, book: JobBook, sweeper_of: Make) -> None:
        upload = _local(book) / storage.JOBS / "an-id-of-last-week"
        upload.mkdir(parents=True)
        (upload / "input#1").write_bytes(b"half")
        _age(upload, timedelta(days=3))
        sweeper = sweeper_of(book)
        assert [sweeper.run_once() for _ in range(2)] == [[], []]
        _age(upload / "input#1", timedelta(days=2))
        assert [sweeper.run_once() for _ in range(2)] == [[], [upload.name]]
        assert not upload.exists()


class TestLostRecords:
    @pytest.mark.parametrize("has_ended", [True, False], ids=["ended", "running"])
    def test_what_is_left_of_a_job_is_told_once_and_stays_until_somebody_deletes_it(
        self, book: JobBook, sweeper_of: Make, caplog: pytest.LogCaptureFixture, has_ended: bool
    ) -> None:
        job_id = accept(book)
        book.begin(job_id, "execution", "worker")
        result = write(book, job_id, "execution")
        if has_ended:
            book.finish(job_id, end_of("execution"))
        storage.remove(book.store, storage.record_key(job_id))
        sweeper = sweeper_of(book)
        assert [sweeper.run_once(_later(number * _WEEK)) for number in range(4)] == [[], [], [], []]
        assert storage.exists(book.store, result)
        told = [record.__dict__ for record in caplog.records if record.message == "cannot sweep"]
        assert [line["job_id"] for line in told] == [job_id]
        assert "job.json is gone" in told[0]["reason"]

        with pytest.raises(RecordUnreadable):
            book.read(job_id)
        book.delete(job_id)
        assert storage.children(book.store, storage.JOBS) == []


class TestLeftOvers:
    def test_what_dead_attempts_wrote_goes_and_the_result_stays(
        self, book: JobBook, sweeper_of: Make
    ) -> None:
        ended, running = accept(book), accept(book)
        book.finish(ended, end_of("won"))
        late, result = write(book, ended, "late"), write(book, ended, "won")
        at_work = write(book, running, "execution")
        assert sweeper_of(book).run_once() == []
        assert not storage.exists(book.store, late)
        assert storage.exists(book.store, result)
        assert storage.exists(book.store, at_work)

    def test_an_ended_job_is_looked_at_again_every_day(self, book: JobBook, sweeper_of: Make) -> None:
        job_id = accept(book)
        book.finish(job_id, end_of("won"))
        sweeper = sweeper_of(book)
        sweeper.run_once()
        late = write(book, job_id, "late")
        sweeper.run_once()
        assert storage.exists(book.store, late)
        sweeper.run_once(_later(QUIET))
        assert not storage.exists(book.store, late)

    @pytest.mark.parametrize("book", ["local"], indirect=True)
    def test_a_file_that_was_never_finished_goes_and_one_that_is_being_written_stays(
        self, book: JobBook, sweeper_of: Make
    ) -> None:
        job_id = accept(book)
        book.finish(job_id, end_of("execution"))
        renders = _local(book) / storage.attempt_prefix(job_id, "execution") / "renders"
        renders.mkdir(parents=True)
        for name in ("labels.npy#1", "labels.npy#2", "labels.npy"):
            (renders / name).write_bytes(b"half")
            _age(renders / name, 2 * QUIET)
        _age(renders / "labels.npy#2", timedelta(hours=1))
        sweeper_of(book).run_once()
        assert {path.name for path in renders.iterdir()} == {"labels.npy#2", "labels.npy"}

    def test_old_probes_go(self, book: JobBook, sweeper_of: Make) -> None:
        obstore.put(book.store, f"{storage.PROBES}/x", b"ready?")
        sweeper = sweeper_of(book)
        sweeper.run_once()
        assert storage.exists(book.store, f"{storage.PROBES}/x")
        sweeper.run_once(_later(QUIET))
        assert not storage.exists(book.store, f"{storage.PROBES}/x")

    def test_scratch_folders_of_the_dead_go_and_those_of_the_living_stay(
        self, book: JobBook, sweeper_of: Make, tmp_path: Path
    ) -> None:
        (tmp_path / "scratch" / "render-dead").mkdir(parents=True)
        with scratch_folder(tmp_path / "scratch", "render-alive") as alive:
            sweeper_of(book).run_once()
            assert list((tmp_path / "scratch").iterdir()) == [alive]


def test_of_two_sweepers_one_works(book: JobBook, redis: Redis, sweeper_of: Make) -> None:
    job_id = accept(book)
    book.delete(job_id)
    write(book, job_id, "late")
    sweeper = sweeper_of(book)
    redis.set("emserve:lock:sweeper", "another", px=5000)
    assert sweeper.run_once() == []
    sweeper.release()
    assert redis.get("emserve:lock:sweeper") == b"another", "what another holds is not released"
    redis.delete("emserve:lock:sweeper")
    assert sweeper.run_once() == [job_id]


def test_a_sweeper_that_ends_keeps_the_next_one_waiting_for_nothing(
    book: JobBook, redis: Redis, sweeper_of: Make
) -> None:
    sweeper = sweeper_of(book)
    sweeper.run_once()
    assert redis.exists("emserve:lock:sweeper")
    sweeper.release()
    assert not redis.exists("emserve:lock:sweeper")


def test_a_sweeper_that_was_killed_keeps_nobody_waiting_long_however_seldom_it_swept(
    book: JobBook, redis: Redis, sweeper_of: Make
) -> None:
    sweeper_of(book, sweep_seconds=86_400).run_once()
    assert redis.ttl("emserve:lock:sweeper") <= 120


def test_a_sweeper_that_must_stop_leaves_the_rest_for_later(book: JobBook, sweeper_of: Make) -> None:
    job_id = accept(book)
    book.delete(job_id)
    write(book, job_id, "late")
    sweeper = sweeper_of(book)
    sweeper.stop()
    assert sweeper.run_once() == []
    assert sweeper_of(book).run_once() == [job_id]


def test_a_folder_that_cannot_be_read_keeps_none_of_the_others(book: JobBook, sweeper_of: Make) -> None:
    broken, late = accept(book), accept(book)
    obstore.put(book.store, storage.end_key(broken), b"{")
    obstore.put(book.store, f"{storage.JOBS}/no id/x", b"somebody else's")
    book.delete(late)
    write(book, late, "execution")
    assert sweeper_of(book).run_once(_later(QUIET)) == [late]
    assert sorted(storage.children(book.store, storage.JOBS)) == sorted([broken, "no id"])


class TestForgotten:
    def test_what_nobody_lists_any_more_is_listed_again(self, book: JobBook, sweeper_of: Make) -> None:
        ended, waiting, listed = accept(book), accept(book), accept(book)
        book.finish(ended, end_of("execution"))
        for job_id in (ended, waiting):  # as a broker that went back in time, or an API that was killed
            book.live.forget(job_id)
        upload = new_id()
        obstore.put(book.store, storage.input_key(upload), b"half")
        sweeper_of(book).run_once()
        assert book.live.listed() == {ended, waiting, listed}
        assert book.live.active() == {waiting, listed}
        assert {job.id: job.status for job in book.page(Filter(), None, 9).jobs} == {
            ended: JobStatus.SUCCEEDED,
            waiting: JobStatus.QUEUED,
            listed: JobStatus.QUEUED,
        }

    def test_a_cancel_that_was_cut_off_is_made_up_for(
        self, book: JobBook, redis: Redis, sweeper_of: Make
    ) -> None:
        waiting, running = accept(book), accept(book)
        lease(redis, running)
        for job_id in (waiting, running):
            storage.create(book.store, storage.cancel_key(job_id), b"{}")
            book.live.mark_cancelling(job_id)
        sweeper_of(book).run_once()
        assert book.end_of(waiting) is not None
        assert book.tickets.waiting() == []
        assert book.end_of(running) is None  # its worker ends it
