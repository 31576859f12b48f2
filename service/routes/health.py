"""Health: is the process alive, are its parts there, what do they do."""

from collections.abc import Callable
from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from redis import Redis
from redis.exceptions import ResponseError
from starlette.responses import RedirectResponse

from emserve.errors import BrokerUnavailable, EmserveError, FieldError
from emserve.fleet import WorkerEntry
from emserve.jobs import Frozen
from emserve.tickets import broker_errors
from service.deps import Require, ResourcesDep

router = APIRouter(tags=["health"])

_BROKER_PROBE = "emserve:probe"
_PROBE_SECONDS = 10


class NotReady(EmserveError):
    slug = "not-ready"
    title = "The service cannot take jobs"
    status = 503
    is_routine = True


class Alive(Frozen):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(Frozen):
    """What the service stands on."""

    status: Literal["ready"] = "ready"
    redis: Literal["ok"] = "ok"
    storage: Literal["ok"] = "ok"
    disk: Literal["ok"] = "ok"
    workers: list[WorkerEntry]


@router.get("/", include_in_schema=False)
def root() -> Response:
    return RedirectResponse("/docs")


@router.get("/livez")
async def livez() -> Alive:
    """Answers as long as the process runs."""
    return Alive()


@router.get("/readyz")
def readyz(resources: ResourcesDep, require: Require = None) -> Readiness:
    """Whether jobs can be taken: Redis, storage, room on the disk; with `require=worker` also a worker."""
    checks: dict[str, Callable[[], None]] = {
        "redis": lambda: _write_to_broker(resources.redis),
        "storage": resources.storage_probe.begin(),
        "disk": resources.room_probe.begin(),
    }
    missing = {name: fault for name, check in checks.items() if (fault := _fault_of(check))}
    workers = [] if "redis" in missing else resources.fleet.workers()
    if require == "worker" and not workers and "redis" not in missing:
        missing["worker"] = "none is running; `emserve worker` starts one."
    if missing:
        raise NotReady(
            " ".join(f"{name}: {fault}" for name, fault in missing.items()),
            errors=[FieldError(f"/{name}", fault) for name, fault in missing.items()],
        )
    return Readiness(workers=workers)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Counters and gauges in Prometheus' text format."""
    return Response(generate_latest(request.state.registry), media_type=CONTENT_TYPE_LATEST)


def _fault_of(check: Callable[[], None]) -> str | None:
    try:
        check()
    except EmserveError as error:
        return error.for_operators
    return None


def _write_to_broker(redis: Redis) -> None:
    with broker_errors():
        try:
            redis.set(_BROKER_PROBE, "ready?", ex=_PROBE_SECONDS)
        except ResponseError as error:
            if "MISCONF" in str(error):  # its disk is full, which has a name of its own
                raise
            raise BrokerUnavailable(
                "The job queue answers, and refuses to write; its settings or its log say why. Jobs already "
                "accepted are safe."
            ) from error
