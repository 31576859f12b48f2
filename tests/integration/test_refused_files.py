"""Files that the disk does not open, of one job: they keep none of the others."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import obstore
import pytest
from redis import Redis

from emserve import storage
from emserve.book import JobBook
from emserve.errors import FileRefused, JobDeleted, RecordUnreadable, StorageUnavailable
from emserve.live import Filter
from emserve.reconciler import Reconciler
from emserve.settings import Settings
from emserve.sweeper import Sweeper
from tests.integration.bookkeeping import accept, end_of, lease, write

pytestmark = pytest.mark.parametrize("book", ["local"], indirect=True)

LOOK = """
import json, sys
from emserve.book import JobBook
from emserve.errors import EmserveError
from emserve.live import Filter
from emserve.reconciler import Reconciler
from emserve.storage import open_store
from emserve.tickets import connect

url, broker, job_id = sys.argv[1:]
redis = connect(broker)
book = JobBook(open_store(url), redis)
reconciler = Reconciler(book)
for _ in range(3):
    reconciler.run_once()
redis.zadd("emserve:jobs", {job_id: 0})
try:
    book.read(job_id)
    answer = "read"
except EmserveError as error:
    answer = error.slug
shown = [job.id for job in book.page(Filter(), None, 9).jobs]
print(json.dumps({"answer": answer, "shown": shown, "waiting": book.tickets.waiting()}))
"""


def _path(book: JobBook, key: str) -> Path:
    path = storage.local_folder(book.store, key)
    assert path is not None
    return path


def _look_without_privileges(book: JobBook, redis: Redis, job_id: str) -> dict[str, object]:
    """What a service sees that may not open what its user may not: root may, unless it gives that up."""
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if drop and shutil.which(drop[0]) is None:
        pytest.skip("root opens every file, and nothing here takes that away from it")
    broker = f"unix://{redis.connection_pool.connection_kwargs['path']}"
    command = [*drop, sys.executable, "-c", LOOK, _path(book, "").as_uri(), broker, job_id]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("name", ["job.json", "end.json", "cancel.json", "attempts", ""])
def test_what_may_not_be_opened_of_one_job_keeps_none_of_the_others(
    book: JobBook, redis: Redis, name: str
) -> None:
    refused, other = accept(book), accept(book)
    book.begin(refused, "execution", "worker")
    if name == "end.json":
        book.finish(refused, end_of("execution"))
    if name == "cancel.json":
        lease(redis, refused)
        book.cancel(refused)
    redis.flushall()
    path = _path(book, storage.job_prefix(refused)) / name
    path.chmod(0)
    seen = _look_without_privileges(book, redis, refused)
    path.chmod(0o755)
    answers = "read" if name == "attempts" else "unreadable-record"  # which are needed to run it alone
    assert seen["answer"] == answers
    assert seen["shown"] == [other, *([refused] if answers == "read" else [])]
    assert seen["waiting"] == [other]


def test_a_storage_that_lets_nobody_in_is_away_and_no_jobs_fault(book: JobBook, redis: Redis) -> None:
    job_id = accept(book)
    jobs = _path(book, storage.JOBS)
    jobs.chmod(0)
    try:
        with pytest.raises(AssertionError, match="FileRefused"):
            _look_without_privileges(book, redis, job_id)
    finally:
        jobs.chmod(0o755)


@pytest.mark.parametrize("name", ["job.json", "end.json"])
def test_a_folder_in_a_files_place_is_told_once_and_the_job_goes_on_when_it_is_mended(
    book: JobBook, reconciler: Reconciler, redis: Redis, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    bad, lost = accept(book), accept(book)
    path = _path(book, f"{storage.job_prefix(bad)}/{name}")
    content = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    path.mkdir()
    redis.delete("rq:queue:emserve")
    for _ in range(6):
        reconciler.run_once()
    assert book.tickets.waiting() == [lost]
    with pytest.raises(RecordUnreadable, match=bad) as told:
        book.read(bad)
    assert str(path) in told.value.for_operators
    assert [job.id for job in book.page(Filter(), None, 9).jobs] == [lost]
    assert [record.__dict__["job_id"] for record in caplog.records if "resume a job" in record.message] == [
        bad
    ]

    path.rmdir()
    if content is not None:
        path.write_bytes(content)
    for _ in range(2):
        reconciler.run_once()
    assert book.tickets.waiting() == [lost, bad]


def test_a_job_with_a_folder_in_its_records_place_can_be_deleted(book: JobBook, redis: Redis) -> None:
    job_id = accept(book)
    path = _path(book, storage.record_key(job_id))
    path.unlink()
    path.mkdir()
    book.delete(job_id)
    with pytest.raises(JobDeleted):
        book.read(job_id)
    assert storage.children(book.store, storage.JOBS) == []
    assert not redis.exists(f"emserve:job:{job_id}")


def test_the_sweeper_tells_of_a_job_once_and_sweeps_the_others(
    book: JobBook, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad, late = accept(book), accept(book)
    _path(book, storage.end_key(bad)).mkdir()
    sweeper = Sweeper(book, Settings(data_dir=tmp_path))
    for _ in range(3):
        book.delete(late)
        obstore.put(book.store, storage.input_key(late), b"late")
        assert sweeper.run_once() == [late]
    assert [record.__dict__["job_id"] for record in caplog.records if record.message == "cannot sweep"] == [
        bad
    ]


@pytest.mark.parametrize("foreign", [None, "letter.txt"])
def test_a_job_that_was_moved_to_another_disk_is_deleted_with_its_link_and_nothing_else(
    book: JobBook, tmp_path: Path, foreign: str | None
) -> None:
    job_id = accept(book)
    book.finish(job_id, end_of("execution"))
    write(book, job_id, "execution")
    folder, archive = _path(book, storage.job_prefix(job_id)), tmp_path / "archive" / "moved"
    archive.parent.mkdir()
    folder.rename(archive)
    folder.symlink_to(archive)
    (archive / "end.json#1").write_bytes(b"half")
    if foreign:
        (archive / foreign).write_bytes(b"mine")
    assert [job.id for job in book.page(Filter(), None, 9).jobs] == [job_id]
    book.delete(job_id)
    with pytest.raises(JobDeleted):
        book.read(job_id)
    assert not folder.is_symlink()
    assert archive.parent.is_dir()
    assert [path.name for path in archive.parent.rglob("*")] == (["moved", foreign] if foreign else [])


def test_a_job_whose_disk_is_gone_can_be_deleted_and_leaves_no_link(book: JobBook, tmp_path: Path) -> None:
    job_id = accept(book)
    folder = _path(book, storage.job_prefix(job_id))
    folder.rename(tmp_path / "unmounted")
    folder.symlink_to(tmp_path / "nowhere")
    book.delete(job_id)
    assert not folder.is_symlink()


@pytest.mark.parametrize("name", [b"\xff\xfe", b"new\nline", b"ffffffff-ffff-7fff-bfff-ffffffffffff"])
def test_a_folder_of_an_odd_name_keeps_no_job(
    book: JobBook, redis: Redis, tmp_path: Path, name: bytes
) -> None:
    lost, late = accept(book), accept(book)
    book.delete(late)
    odd = Path(os.fsdecode(os.fsencode(_path(book, storage.JOBS)) + b"/" + name))
    try:
        odd.mkdir()
    except OSError:
        pytest.skip("the disk has no such names")
    redis.flushall()
    reconciler = Reconciler(book)
    for _ in range(3):
        reconciler.run_once()
    assert book.tickets.waiting() == [lost]
    obstore.put(book.store, storage.input_key(late), b"late")
    assert Sweeper(book, Settings(data_dir=tmp_path)).run_once() == [late]
    assert odd.is_dir()


def test_a_refused_file_is_a_fault_of_the_storage_where_no_job_is_read(book: JobBook) -> None:
    _path(book, "probes/x").mkdir(parents=True)
    with pytest.raises(FileRefused) as refused:
        storage.read(book.store, "probes/x")
    assert isinstance(refused.value, StorageUnavailable)
