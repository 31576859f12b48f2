"""What may befall a service: each trouble by its name."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil
from rq.utils import as_text

from emserve.tickets import connect
from tests.soak.house import House

_LEASES = "rq:wip:emserve"
_STEP_SECONDS = 3600


@dataclass(frozen=True)
class Trouble:
    """One fault."""

    name: str
    strike: Callable[[House], None]
    weight: int
    """How often it is chosen at random."""
    spares_memory: bool
    """Whether the API and the supervisor of `emserve up` outlive it."""


def kill(processes: Iterable[psutil.Process | None]) -> None:
    for each in processes:
        if each is not None:
            with contextlib.suppress(psutil.Error):
                each.kill()


def _kill_both(house: House) -> None:
    kill([*house.children()[:1], *house.supervisors()[:1]])


def _drain(house: House) -> None:
    for each in house.supervisors()[:1]:
        with contextlib.suppress(psutil.Error):
            each.terminate()


def _freeze_broker(house: House, seconds: float) -> None:
    broker = house.part("broker")
    if broker is None:
        return
    with contextlib.suppress(psutil.Error):
        broker.suspend()
        time.sleep(seconds)
        broker.resume()


def _lose_broker_file(house: House) -> None:
    broker = house.part("broker")
    if broker is None:
        return
    with contextlib.suppress(psutil.Error):
        broker.suspend()  # so that it writes nothing more
        shutil.rmtree(house.data_dir / "broker" / "appendonlydir", ignore_errors=True)
        broker.kill()


def _flush_broker(house: House) -> None:
    with contextlib.suppress(Exception), contextlib.closing(connect(house.settings.redis_url)) as redis:
        redis.flushall()


def step_leases(house: House, seconds: float) -> None:
    """What a step of the clock makes of leases: their ends lie elsewhere in time until they are renewed."""
    with contextlib.suppress(Exception), contextlib.closing(connect(house.settings.redis_url)) as redis:
        for member in redis.zrange(_LEASES, 0, -1):
            redis.zincrby(_LEASES, seconds, as_text(member))  # type: ignore[arg-type]  # no scores


def _kill_all(house: House) -> None:
    house.kill_all()
    house.open()


def _kill_up(house: House) -> None:
    house.kill_up()
    house.open()


def _kill_hand(house: House) -> None:
    house.kill_hand()
    house.open_second()


def _kill_second_api(house: House) -> None:
    house.kill_second_api()
    house.open_second()


def _restart(house: House) -> None:
    house.stop_up()
    house.open()


TROUBLES = (
    Trouble("a child is killed", lambda house: kill(house.children()[:1]), 8, True),
    Trouble("a supervisor is killed", lambda house: kill(house.supervisors()[:1]), 5, False),
    Trouble("a child and its supervisor are killed", _kill_both, 3, False),
    Trouble("an API is killed", lambda house: kill([house.part("api")]), 5, False),
    Trouble("the second API is killed", _kill_second_api, 2, True),
    Trouble("image processes are killed", lambda house: kill(house.image_processes()), 5, True),
    Trouble("the broker is killed", lambda house: kill([house.part("broker")]), 4, True),
    Trouble("the broker hangs for 1 s", lambda house: _freeze_broker(house, 1), 4, True),
    Trouble("the broker hangs for 10 s", lambda house: _freeze_broker(house, 10), 1, True),
    Trouble("the broker is killed and its file deleted", _lose_broker_file, 1, True),
    Trouble("the broker's data is deleted", _flush_broker, 2, True),
    Trouble("the clock steps forward", lambda house: step_leases(house, -_STEP_SECONDS), 2, True),
    Trouble("the clock steps back", lambda house: step_leases(house, _STEP_SECONDS), 2, True),
    Trouble("a worker is told to stop", _drain, 2, False),
    Trouble("`emserve worker` is killed", _kill_hand, 2, True),
    Trouble("`emserve up` is killed", _kill_up, 1, False),
    Trouble("every process is killed", _kill_all, 1, False),
    Trouble("`emserve up` is stopped and started", _restart, 1, False),
)
