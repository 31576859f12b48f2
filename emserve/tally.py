"""What happened so far, counted by every process of the service in one place: a hash in the broker."""

import contextlib
from enum import StrEnum

from redis import Redis
from redis.exceptions import RedisError
from rq.utils import as_text

from emserve.tickets import broker_errors

_KEY = "emserve:tally"


class Event(StrEnum):
    """What is counted; docs/operations.md explains each. Some have a label that says which kind it was."""

    JOB_ACCEPTED = "jobs_accepted"
    JOB_ENDED = "jobs_ended"  # by status
    JOB_FAILED = "jobs_failed"  # by problem
    JOB_REQUEUED = "jobs_requeued"
    ATTEMPT = "attempts"  # by outcome
    STAGE_SECONDS = "stage_seconds"  # by stage; adds up seconds, not events
    LEASE_LOST = "leases_lost"
    WORKER_LOST = "workers_lost"
    IMAGE_PROCESS_DIED = "image_process_deaths"  # by what it was doing
    MODEL_LOADED = "model_loads"  # by model, as the following four
    MODEL_LOAD_SECONDS = "model_load_seconds"  # adds up seconds
    MODEL_EVICTED = "model_evictions"
    MODEL_PIXELS = "model_pixels"  # adds up pixels that were inferred
    MODEL_SECONDS = "model_seconds"  # adds up the seconds that took
    TICKET_REFUSED = "tickets_refused"


class Tally:
    """Adds up events. A broker that is away costs the count, never the work."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def add(self, event: Event, label: str = "", amount: float = 1) -> None:
        with contextlib.suppress(RedisError):
            self._redis.hincrbyfloat(_KEY, f"{event.value}:{label}", amount)

    def totals(self) -> dict[Event, dict[str, float]]:
        """Of each event that happened, the totals by label. Raises BrokerUnavailable."""
        with broker_errors():
            counted = self._redis.hgetall(_KEY)
        totals: dict[Event, dict[str, float]] = {}
        for name, value in counted.items():
            event, _, label = as_text(name).partition(":")
            if event in set(Event):  # another version may count what this one does not know
                totals.setdefault(Event(event), {})[label] = float(value)
        return totals
