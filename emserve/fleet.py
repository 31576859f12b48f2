"""Which workers are alive: each renews an entry in Redis that expires without it."""

import contextlib
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict, computed_field
from redis import Redis
from redis.exceptions import RedisError
from rq.utils import as_text

from emserve.parsing import understood
from emserve.resident import Resident
from emserve.tally import Event, Tally
from emserve.tickets import broker_errors

ALIVE_SECONDS = 15
_NAMES = "emserve:workers"


class WorkerEntry(BaseModel):
    """One live worker."""

    model_config = ConfigDict(frozen=True)

    name: str
    device: str
    job_id: str | None = None
    """What it works on."""
    residents: list[Resident] = []
    """The models that it holds warm, the most recently used last."""

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented way
    @property
    def loaded(self) -> list[str]:
        """Ids of these models."""
        return [resident.id for resident in self.residents]


class Fleet:
    """The live workers, as Redis knows them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._tally = Tally(redis)

    def renew(self, entry: WorkerEntry) -> None:
        with broker_errors(), self._redis.pipeline() as pipe:
            pipe.set(_key(entry.name), entry.model_dump_json(), ex=ALIVE_SECONDS)
            pipe.sadd(_NAMES, entry.name)
            pipe.execute()

    def leave(self, name: str) -> None:
        with broker_errors(), self._redis.pipeline() as pipe:
            pipe.delete(_key(name))
            pipe.srem(_NAMES, name)
            pipe.execute()

    def workers(self) -> list[WorkerEntry]:
        """The live ones by name; names whose entry expired are dropped."""
        with broker_errors():
            names = sorted(as_text(name) for name in self._redis.smembers(_NAMES))
            values = self._redis.mget([_key(name) for name in names]) if names else []
            gone = [name for name, value in zip(names, values, strict=True) if value is None]
        if gone:
            self._drop(gone)
        entries = (understood(WorkerEntry, value) for value in values if value is not None)
        return [entry for entry in entries if entry is not None]

    def _drop(self, names: Iterable[str]) -> None:
        lost = 0
        with contextlib.suppress(RedisError):  # a broker that refuses to write can still be read
            lost = self._redis.srem(_NAMES, *names)
        for _ in range(lost):  # whoever drops a name counts it: several may look at once
            self._tally.add(Event.WORKER_LOST)


def _key(name: str) -> str:
    return f"emserve:worker:{name}"
