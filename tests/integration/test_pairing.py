"""A broker queues the jobs of one storage: whoever brings another is refused, in words."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from obstore.store import MemoryStore
from redis import Redis

from emserve.broker import EmbeddedBroker
from emserve.pairing import ForeignBroker, Pairing
from emserve.settings import Settings
from emserve.storage import ID, open_store, read
from emserve.tickets import connect
from tests.commands import command
from tests.integration.workshop import eventually
from tests.running_service import RunningService, environment


def _pairing(folder: Path, redis: Redis) -> Pairing:
    url = folder.as_uri()
    return Pairing(open_store(url), redis, url)


@pytest.fixture
def empty(redis: Redis) -> Redis:
    """A broker that nobody has."""
    redis.flushall()
    return redis


def test_a_broker_keeps_to_the_storage_that_came_first(empty: Redis, tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    _pairing(mine, empty).claim()
    for _ in range(2):
        with pytest.raises(ForeignBroker, match=f"{mine.as_uri()}.*{other.as_uri()} has no id yet"):
            _pairing(other, empty).claim()
        with pytest.raises(ForeignBroker):
            _pairing(other, empty).check()
    assert not list(other.iterdir()), "who was refused leaves nothing"
    _pairing(mine, empty).check()


def test_a_broker_that_lost_its_data_takes_the_storage_anew(empty: Redis, tmp_path: Path) -> None:
    pairing = _pairing(tmp_path, empty)
    pairing.claim()
    before = empty.get("emserve:storage")
    empty.flushall()
    pairing.check()
    assert not empty.keys(), "a worker claims nothing"
    pairing.claim()
    assert empty.get("emserve:storage") == before


def test_of_many_that_start_at_once_all_agree(empty: Redis, tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(lambda _: _pairing(tmp_path, empty).claim(), range(16)):
            pass
    stored = read(open_store(tmp_path.as_uri()), ID)
    assert stored is not None
    assert len(list(tmp_path.iterdir())) == 1


def test_a_storage_that_is_moved_stays_the_same(empty: Redis, tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    _pairing(before, empty).claim()
    before.rename(after)
    _pairing(after, empty).claim()
    with pytest.raises(ForeignBroker, match=after.as_uri()):
        _pairing(before, empty).claim()


def test_an_id_that_a_power_cut_left_empty_costs_nothing(empty: Redis, tmp_path: Path) -> None:
    _pairing(tmp_path, empty).claim()
    whole = (tmp_path / ID).read_bytes()
    (tmp_path / ID).write_bytes(b"")
    _pairing(tmp_path, empty).claim()
    assert (tmp_path / ID).read_bytes() == whole
    empty.flushall()
    (tmp_path / ID).write_bytes(b"")
    _pairing(tmp_path, empty).claim()
    _pairing(tmp_path, empty).check()


def test_where_a_storage_is_is_told_without_what_opens_it(empty: Redis) -> None:
    Pairing(MemoryStore(), empty, "s3://key:secret@bucket/jobs").claim()
    with pytest.raises(ForeignBroker, match="s3://bucket/jobs") as caught:
        Pairing(MemoryStore(), empty, "s3://key:secret@other/jobs").claim()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("what", ["up", "worker"])
def test_a_command_with_another_storage_is_refused(
    service: RunningService, tmp_path: Path, what: str
) -> None:
    options = ["--redis", f"unix://{service.data_dir}/broker/valkey.sock", "--data-dir", str(tmp_path)]
    port = ["--port", "0"] if what == "up" else []
    words, variables = command(what, *port, *options, "--device", "cpu", COLUMNS="400")
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    said = " ".join((done.stdout + done.stderr).split())
    assert "The job queue belongs to the storage" in said
    assert (service.data_dir / "store").as_uri() in said
    assert (tmp_path / "store").as_uri() in said
    assert "--storage" in said
    assert "Traceback" not in said
    with service.client() as http:
        assert len(http.get("/readyz").json()["workers"]) == 1


@contextlib.contextmanager
def _lone_worker(data_dir: Path, redis_url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker whose supervisor nobody starts again."""
    variables = environment(EMSERVE_DATA_DIR=str(data_dir), EMSERVE_REDIS=redis_url)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.main", "--device", "cpu", "--name", "lone"],
            env=variables,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_worker_that_came_before_the_api_goes_when_it_sees_the_storage(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    with EmbeddedBroker(settings), contextlib.closing(connect(settings.redis_url)) as redis:
        log = tmp_path / "log"
        with _lone_worker(tmp_path / "other", settings.redis_url, log) as worker:
            eventually(lambda: "Listening on" in log.read_text(), "the worker")
            _pairing(tmp_path / "data" / "store", redis).claim()
            assert worker.wait(20) == 1
        assert "The job queue belongs to the storage" in log.read_text()
        with _lone_worker(tmp_path / "other", settings.redis_url, log) as worker:
            assert worker.wait(20) == 1
        assert "worker ready" not in log.read_text()
