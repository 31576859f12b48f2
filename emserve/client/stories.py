"""What each method of the clients does, step by step, without sending anything itself.

A story yields Calls and Pauses, is sent what came of each Call, and returns the method's value. Client and
AsyncClient only carry the steps out, so that there is one copy of what they mean.
"""

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from emserve.client.answer import Answer, Broken
from emserve.client.call import Call, Pause
from emserve.client.errors import (
    InvalidParameters,
    JobCancelled,
    JobFailed,
    ServiceUnreachable,
    WaitTimedOut,
)
from emserve.client.formats import Wanted
from emserve.client.job_filter import JobFilter
from emserve.client.model_info import ModelInfo, ModelInfos
from emserve.client.payload import Payload
from emserve.client.retry import pause_before_retry
from emserve.client.segmentation import Row
from emserve.client.sink import Sink
from emserve.client.submission import Submission
from emserve.errors import EmserveError
from emserve.jobs import Job, JobPage, JobStatus, Problem

ValueT = TypeVar("ValueT")
Reply = Answer | Broken | None
Story = Generator[Call | Pause, Reply, ValueT]
OnProgress = Callable[[Job], None]

_LONG_POLL_SECONDS = 60  # the service waits no longer
_LOOK_SECONDS = 0.25
_SLOW_SECONDS = 660.0  # the service stores an upload, or renders a result, before it answers

_JOB = TypeAdapter(Job)
_PAGE = TypeAdapter(JobPage)
_MODELS = TypeAdapter(ModelInfos)
_MODEL: TypeAdapter[ModelInfo] = TypeAdapter(ModelInfo)
_PROVENANCE: TypeAdapter[dict[str, object]] = TypeAdapter(dict[str, object])


class _Objects(BaseModel):
    objects: list[Row]


@dataclass(frozen=True)
class Patience:
    """How a job's end is awaited."""

    timeout_seconds: float | None = None
    """None waits for ever."""
    on_progress: OnProgress | None = None
    """Is shown the job about four times a second."""
    clock: Callable[[], float] = time.monotonic


def submit(submission: Submission, payload: Payload) -> Story[Job]:
    headers = {"Content-Type": "application/octet-stream"}
    if payload.total is not None:
        headers["Content-Length"] = str(payload.total)
    query = submission.query(payload.filename)
    call = Call("POST", "/v1/jobs", query, headers, body=payload, patience_seconds=_SLOW_SECONDS)
    return (yield from _ask(call)).read_as(_JOB)


def read_job(job_id: str, wait_seconds: float | None = None) -> Story[Job]:
    return (yield from _ask(_job_call(job_id, wait_seconds))).read_as(_JOB)


def read_page(wanted: JobFilter, left: int | None, token: str | None) -> Story[JobPage]:
    call = Call("GET", "/v1/jobs", wanted.query(left, token))
    return (yield from _ask(call)).read_as(_PAGE)


def cancel(job_id: str) -> Story[Job]:
    return (yield from _ask(Call("POST", f"{_path(job_id)}/cancel"))).read_as(_JOB)


def delete(job_id: str) -> Story[None]:
    yield from _ask(Call("DELETE", _path(job_id)))


def await_end(job_id: str, patience: Patience) -> Story[Job]:
    """The job once it has ended, in whatever way. Raises WaitTimedOut."""
    limit = math.inf if patience.timeout_seconds is None else patience.timeout_seconds
    deadline = patience.clock() + limit

    def left_seconds() -> float:
        return max(0.0, deadline - patience.clock())

    def look() -> Call:
        return _job_call(job_id, None if patience.on_progress else left_seconds(), is_stubborn=True)

    while True:
        asked = patience.clock()
        job = (yield from _ask_anew(look, left_seconds)).read_as(_JOB)
        if patience.on_progress:
            patience.on_progress(job)
        if job.status.ended:
            return job
        if not (left := left_seconds()):
            raise WaitTimedOut(job, limit)
        # Also after a long poll: a server that does not wait must not be asked without a breath.
        if (pause := asked + _LOOK_SECONDS - patience.clock()) > 0:
            yield Pause(min(pause, left))


def list_models() -> Story[list[ModelInfo]]:
    return (yield from _ask(Call("GET", "/v1/models"))).read_as(_MODELS).models


def read_model(reference: str) -> Story[ModelInfo]:
    return (yield from _ask(Call("GET", f"/v1/models/{_name(reference, 'model')}"))).read_as(_MODEL)


def read_objects(job_id: str, only_class: str | int | None = None) -> Story[list[Row]]:
    answer = yield from _ask(_result_call(job_id, Wanted("objects", "json", only_class)))
    return answer.read_as(TypeAdapter(_Objects)).objects


def read_provenance(job_id: str) -> Story[dict[str, object]]:
    return (yield from _ask(_result_call(job_id, Wanted("provenance")))).read_as(_PROVENANCE)


def fetch(job_id: str, wanted: Wanted, sink: Sink) -> Story[None]:
    """A result into `sink`. Raises CorruptAnswer when it is not what the server announced."""
    answer = yield from _ask(_result_call(job_id, wanted, sink))
    sink.check(answer.headers, f"{wanted.part} of the job {job_id}")


def require_success(job: Job) -> None:
    """Raises JobFailed or JobCancelled for a job that ended without a result."""
    if job.status is JobStatus.FAILED:
        unsaid = EmserveError("The service gives no reason.")
        raise JobFailed(job.error or Problem.of(unsaid), job)
    if job.status is JobStatus.CANCELLED:
        raise JobCancelled(job)


def _ask(call: Call) -> Story[Answer]:
    """A successful answer to `call`, sent again where that helps. Raises ServiceUnreachable or ApiError."""
    return (yield from _ask_anew(lambda: call, lambda: math.inf))


def _ask_anew(make_call: Callable[[], Call], left_seconds: Callable[[], float]) -> Story[Answer]:
    """The same for a call that is made anew for each sending; it is sent again while there is time left."""
    tries = 0
    while True:
        call = make_call()
        outcome = yield call
        tries += 1
        if outcome is None:
            raise TypeError("a story is sent what came of its call")
        pause = pause_before_retry(call, outcome, tries)
        left = left_seconds()
        if pause is None or not left:
            break
        yield Pause(min(pause, left))
    if isinstance(outcome, Broken):
        raise ServiceUnreachable(outcome.url, outcome.reason)
    if not outcome.is_success:
        raise outcome.error()
    return outcome


def _job_call(job_id: str, wait_seconds: float | None, is_stubborn: bool = False) -> Call:
    """`wait_seconds`: how long the service may wait for the job's end, as far as it waits at all."""
    wait = None if wait_seconds is None else max(0, int(min(wait_seconds, _LONG_POLL_SECONDS)))
    headers = {} if wait is None else {"Prefer": f"wait={wait}"}
    return Call("GET", _path(job_id), headers=headers, patience_seconds=wait or 0, is_stubborn=is_stubborn)


def _result_call(job_id: str, wanted: Wanted, sink: Sink | None = None) -> Call:
    path = f"{_path(job_id)}/{wanted.path}"
    return Call("GET", path, wanted.query(), sink=sink, patience_seconds=_SLOW_SECONDS)


def _path(job_id: str) -> str:
    return f"/v1/jobs/{_name(job_id, 'job')}"


def _name(given: object, of: str) -> str:
    """An id as a step of a path. Raises InvalidParameters for what is none: a path would lead elsewhere."""
    if not isinstance(given, str) or not given:
        hint = f": give its `id`, {given.id}" if isinstance(given, Job | ModelInfo) else ""
        raise InvalidParameters(f"A {of} is named by its id, a text, not by {type(given).__name__}{hint}.")
    return quote(given, safe="@")
