"""Two services with brokers of their own on one storage: the second is refused, and nothing runs twice."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from emserve.broker import EmbeddedBroker
from emserve.settings import Settings
from emserve.storage import TENANT, open_store
from emserve.tenancy import StorageInUse, Tenancy
from emserve.tickets import connect
from tests.commands import command
from tests.running_service import RunningService

_RENEW_SECONDS = 0.1


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Redis, Redis]]:
    """Two that know nothing of each other."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("broker") / "data")
    urls = [f"{settings.redis_url}?db={number}" for number in (0, 1)]
    with (
        EmbeddedBroker(settings),
        contextlib.closing(connect(urls[0])) as one,
        contextlib.closing(connect(urls[1])) as other,
    ):
        yield one, other


def _tenancy(folder: Path, redis: Redis) -> Tenancy:
    url = folder.as_uri()
    return Tenancy(open_store(url), redis, url, _RENEW_SECONDS)


def _renewed(tenancy: Tenancy) -> bool:
    """After the time in which it does nothing."""
    time.sleep(_RENEW_SECONDS)
    return tenancy.renew()


def test_a_service_with_another_broker_is_refused_while_the_first_one_lives(
    brokers: tuple[Redis, Redis], tmp_path: Path
) -> None:
    first, second = (_tenancy(tmp_path, redis) for redis in brokers)
    assert first.renew()
    assert not second.renew(), "it looks on first"
    assert _renewed(first)
    for _ in range(2):
        with pytest.raises(StorageInUse, match=tmp_path.as_uri()):
            second.renew()
        assert _renewed(first)
    assert not second.is_ours


def test_apis_of_one_broker_share_the_storage_also_when_the_broker_lost_its_data(
    brokers: tuple[Redis, Redis], tmp_path: Path
) -> None:
    both = [_tenancy(tmp_path, brokers[0]) for _ in range(2)]
    assert all(each.renew() for each in both)
    brokers[0].flushdb()
    assert all(_renewed(each) for each in both)


def test_what_a_killed_service_left_is_taken_over_after_a_while(
    brokers: tuple[Redis, Redis], tmp_path: Path
) -> None:
    first, second = (_tenancy(tmp_path, redis) for redis in brokers)
    first.renew()
    looks = 0
    while not _renewed(second):
        looks += 1
    assert looks >= 2
    assert not _renewed(first), "what was frozen looks on, too, when it goes on"
    assert _renewed(second)
    with pytest.raises(StorageInUse):
        _renewed(first)


def test_a_service_whose_broker_is_away_keeps_its_storage(
    brokers: tuple[Redis, Redis], tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    second = _tenancy(tmp_path / "store", brokers[0])
    with EmbeddedBroker(settings), contextlib.closing(connect(settings.redis_url)) as redis:
        first = _tenancy(tmp_path / "store", redis)
        first.renew()
        assert not second.renew()
    assert _renewed(first)
    with pytest.raises(StorageInUse):
        second.renew()


def test_who_leaves_keeps_nobody_waiting(brokers: tuple[Redis, Redis], tmp_path: Path) -> None:
    first, second = (_tenancy(tmp_path, redis) for redis in brokers)
    first.renew()
    first.leave()
    assert not list(tmp_path.iterdir())
    assert second.renew()


def test_a_note_that_cannot_be_read_keeps_nobody_out(brokers: tuple[Redis, Redis], tmp_path: Path) -> None:
    (tmp_path / TENANT).write_bytes(b"")
    assert _tenancy(tmp_path, brokers[0]).renew()


def test_a_second_service_on_the_storage_is_refused(service: RunningService, tmp_path: Path) -> None:
    words, variables = command("up", "--port", "0", "--data-dir", str(tmp_path), "--api-only", COLUMNS="400")
    storage = (service.data_dir / "store").as_uri()

    done = subprocess.run(
        [*words, "--storage", storage], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1
    assert f"The storage at {storage} is in use by a service with another job queue" in said
    assert "Traceback" not in said


def test_an_api_that_is_started_alone_is_refused_too(service: RunningService, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    variables = {
        "EMSERVE_DATA_DIR": str(settings.data_dir),
        "EMSERVE_REDIS": settings.redis_url,
        "EMSERVE_STORAGE": (service.data_dir / "store").as_uri(),
        "EMSERVE_PORT": "0",
    }
    with EmbeddedBroker(settings):
        done = subprocess.run(
            [sys.executable, "-m", "service"],
            env={**os.environ, **variables},
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode != 0
    assert "is in use by a service with another job queue" in done.stderr
