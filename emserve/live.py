"""What Redis knows of jobs: the list's index, who is active, live status and progress.

All of it can be rebuilt from storage, and is, when it is gone.
"""

import os
import secrets
import socket
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import islice

from pydantic import BaseModel, ConfigDict
from redis import Redis
from rq.utils import as_text

from emserve.jobs import JobRecord, JobStatus, Progress, Stage
from emserve.parsing import understood
from emserve.tickets import broker_errors

_INDEX = "emserve:jobs"  # sorted set, every score 0: ordered by id, which is ordered by time
_ACTIVE = "emserve:active"  # set of jobs that have not ended
_BUILT = "emserve:index-built"
_SETTLING = "emserve:settling"
_ACQUIRE = """
    local holder = redis.call('get', KEYS[1])
    if holder and holder ~= ARGV[1] then return 0 end
    redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2])
    return 1
"""
_REPORT = """
    local known = redis.call('hget', KEYS[1], 'state')
    local status = known and cjson.decode(known).status
    for each = 2, #ARGV do
        if status == ARGV[each] then return end
    end
    redis.call('hset', KEYS[1], 'state', ARGV[1])
"""
_RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) end"
_CHUNK = 200


@cache
def lock_owner() -> str:
    """Who this process is to others that want the same lock. Containers may share host name and number."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(8)}"


class LiveState(BaseModel):
    """One job's live state; what storage knows better is not here."""

    model_config = ConfigDict(frozen=True)

    status: JobStatus
    attempt: int = 1
    stage: Stage | None = None
    started_at: datetime | None = None
    progress: Progress | None = None


class Filter(BaseModel):
    """Which jobs a list shows."""

    model_config = ConfigDict(frozen=True)

    status: JobStatus | None = None
    model: str | None = None
    """A name, or a name@version."""
    tag: tuple[str, str] | None = None
    created_after: datetime | None = None


class LiveBoard:
    """Live state in Redis, one hash a job."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, record: JobRecord, state: LiveState) -> None:
        """Lists a job; an active one is watched by the reconciler from here on."""
        with broker_errors(), self._redis.pipeline() as pipe:
            key = _key(record.id)
            pipe.hset(key, "state", state.model_dump_json(exclude_none=True))
            pipe.hdel(key, "cancelling")  # only the storage knows whether that is still so
            pipe.hset(key, "model", record.model.id)
            for name, value in record.tags.items():
                pipe.hset(key, f"tag:{name}", value)
            pipe.zadd(_INDEX, {record.id: 0})
            if state.status.ended:
                pipe.srem(_ACTIVE, record.id)
            else:
                pipe.sadd(_ACTIVE, record.id)
            pipe.execute()

    def reported(self, job_id: str) -> LiveState | None:
        """What was last reported of a job, whether or not it is listed; no wish to cancel it."""
        with broker_errors():
            value = self._redis.hget(_key(job_id), "state")
        return understood(LiveState, value) if value is not None else None

    def model(self, job_id: str) -> str | None:
        """Id of the model that a listed job was accepted for."""
        with broker_errors():
            value = self._redis.hget(_key(job_id), "model")
        return None if value is None else as_text(value)

    def forget(self, job_id: str) -> None:
        with broker_errors(), self._redis.pipeline() as pipe:
            pipe.delete(_key(job_id))
            pipe.zrem(_INDEX, job_id)
            pipe.srem(_ACTIVE, job_id)
            pipe.execute()

    def state(self, job_id: str) -> LiveState | None:
        with broker_errors():
            value, cancelling = self._redis.hmget(_key(job_id), ["state", "cancelling"])
        return _state(value, cancelling)

    def put_state(self, job_id: str, state: LiveState) -> None:
        """Reports a state. One that has ended is not followed by one that has not: whoever took a job for
        lost may say so after its worker has ended it."""
        key, value = _key(job_id), state.model_dump_json(exclude_none=True)
        with broker_errors():
            if not state.status.ended:
                self._redis.eval(_REPORT, 1, key, value, *(each for each in JobStatus if each.ended))
                return
            with self._redis.pipeline() as pipe:
                pipe.hset(key, "state", value)
                pipe.srem(_ACTIVE, job_id)
                pipe.execute()

    def mark_cancelling(self, job_id: str) -> None:
        """From here on the job shows as cancelling until it has ended, whatever its worker reports."""
        with broker_errors():
            self._redis.hset(_key(job_id), "cancelling", 1)

    def listed(self) -> set[str]:
        """Ids of all jobs in the list."""
        with broker_errors():
            members = self._redis.zrange(_INDEX, 0, -1)
        return {str(as_text(member)) for member in members}  # type: ignore[arg-type]  # bytes

    def is_listed(self, job_id: str) -> bool:
        """Whether a job is in the list, or active without being in it."""
        with broker_errors(), self._redis.pipeline(transaction=False) as pipe:
            pipe.zscore(_INDEX, job_id)
            pipe.sismember(_ACTIVE, job_id)
            score, is_active = pipe.execute()
        return score is not None or bool(is_active)

    def active(self) -> set[str]:
        with broker_errors():
            return {as_text(member) for member in self._redis.smembers(_ACTIVE)}

    @property
    def is_built(self) -> bool:
        """Whether the index is whole; not after the broker lost its data."""
        with broker_errors():
            return bool(self._redis.exists(_BUILT))

    def mark_built(self) -> None:
        with broker_errors():
            self._redis.set(_BUILT, datetime.now(UTC).isoformat())

    def mark_settling(self, seconds: float) -> None:
        """The broker lost what it knew; leases come back as workers renew them, within `seconds`."""
        with broker_errors():
            self._redis.set(_SETTLING, 1, px=int(seconds * 1000))

    @property
    def is_settling(self) -> bool:
        """Whether a worker may still hold a job whose lease the broker has lost."""
        with broker_errors():
            return bool(self._redis.exists(_SETTLING))

    def acquire(self, name: str, owner: str, seconds: float) -> bool:
        """Takes or keeps a lock that frees itself after `seconds`."""
        key = f"emserve:lock:{name}"
        with broker_errors():
            return bool(self._redis.eval(_ACQUIRE, 1, key, owner, int(seconds * 1000)))

    def release(self, name: str, owner: str) -> None:
        """Gives a lock back, unless another has it by now."""
        with broker_errors():
            self._redis.eval(_RELEASE, 1, f"emserve:lock:{name}", owner)

    def ids(self, chosen: Filter, before: str | None, count: int) -> list[str]:
        """Ids of jobs that pass the filter, newest first, older than `before`."""
        return list(islice(self._matching(chosen, before), count))

    def _matching(self, chosen: Filter, before: str | None) -> Iterable[str]:
        oldest = "-" if chosen.created_after is None else "[" + _first_id_after(chosen.created_after)
        newest = "+" if before is None else f"({before}"
        while True:
            with broker_errors():
                members = self._redis.zrevrangebylex(_INDEX, newest, oldest, start=0, num=_CHUNK)
            ids = [as_text(member) for member in members]
            yield from self._passing(chosen, ids)
            if len(ids) < _CHUNK:
                return
            newest = f"({ids[-1]}"

    def _passing(self, chosen: Filter, ids: list[str]) -> Iterable[str]:
        if chosen.status is None and chosen.model is None and chosen.tag is None:
            yield from ids
            return
        tag_field = f"tag:{chosen.tag[0]}" if chosen.tag else "tag:"
        with broker_errors(), self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(_key(job_id), ["state", "cancelling", "model", tag_field])
            rows = pipe.execute()
        for job_id, (value, cancelling, model, tag) in zip(ids, rows, strict=True):
            if value is None or model is None:
                continue
            state = _state(value, cancelling)
            # Without a state a job that has no end is shown as one that waits.
            if _passes(chosen, state.status if state else JobStatus.QUEUED, model, tag):
                yield job_id


def _state(value: bytes | str | None, cancelling: bytes | str | None) -> LiveState | None:
    if value is None:
        return None
    state = understood(LiveState, value)
    if state is None or cancelling is None or state.status.ended:
        return state
    return state.model_copy(update={"status": JobStatus.CANCELLING})


def _passes(chosen: Filter, status: JobStatus, model: bytes, tag: bytes | None) -> bool:
    if chosen.status is not None and status is not chosen.status:
        return False
    if chosen.model is not None and chosen.model not in (model.decode(), model.decode().partition("@")[0]):
        return False
    return chosen.tag is None or (tag is not None and tag.decode() == chosen.tag[1])


def _key(job_id: str) -> str:
    return f"emserve:job:{job_id}"


def _first_id_after(moment: datetime) -> str:
    """The smallest UUIDv7 of that millisecond's successor, as far as it is fixed."""
    milliseconds = int(moment.timestamp() * 1000) + 1
    digits = f"{max(0, milliseconds):012x}"
    return f"{digits[:8]}-{digits[8:]}"
