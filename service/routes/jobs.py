"""Jobs: create, read, list, cancel, delete."""

import asyncio
import base64
import binascii
import contextlib
import logging
import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from emserve import storage
from emserve.errors import EmserveError, FieldError, InvalidRequest, StorageUnavailable
from emserve.ids import PATTERN, new_id
from emserve.jobs import Job, JobPage, JobStatus
from emserve.live import Filter
from service.admission import admit
from service.deps import JobId, Moment, ResourcesDep, StoppingDep, Wait
from service.links import job_path, linked
from service.openapi import JOB_HEADERS, RETRY, TAGS, Fragment, header, ref
from service.resources import Resources
from service.stopping import Stopping
from service.uploads import receive

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

_POLL_SECONDS = 0.05
_POLL_SECONDS_AT_MOST = 0.5
_RETRY_SECONDS = 1

_LOCATION = header("Path of the job")
_FILE: Fragment = {"schema": {"type": "string", "format": "binary"}}
_BODY: Fragment = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": ref("Upload"),
            "encoding": {
                "params": {"contentType": "application/json"},
                "tags": {"contentType": "application/json"},
            },
        },
        "application/octet-stream": _FILE,
        "application/zip": _FILE,
        "image/*": _FILE,
    },
}


def _raw_query(what: str) -> Any:  # FastAPI's Query() is untyped
    return Query(description=f"With a raw body: {what}.")


def _raw_json(name: str, what: str, schema: Fragment) -> Fragment:
    """A parameter in the query whose text is JSON, which FastAPI has no words for."""
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": f"With a raw body: {what} as JSON.",
        "content": {"application/json": {"schema": schema}},
    }


_RAW_JSON = [
    _raw_json("params", "the parameters", ref("Parameters")),
    _raw_json("tags", "the tags", TAGS),
]


@router.post(
    "",
    status_code=202,
    response_model=Job,
    openapi_extra={"requestBody": _BODY, "parameters": _RAW_JSON},
    responses={
        200: {
            "model": Job,
            "headers": {"Location": _LOCATION, "Preference-Applied": header("`wait=N`")},
            "description": "The job ended within the time that the caller waited",
        },
        202: {
            "headers": {"Location": _LOCATION, **JOB_HEADERS, **RETRY},
            "description": "The job is accepted and will not be lost",
        },
    },
)
async def create_job(
    request: Request,
    response: Response,
    resources: ResourcesDep,
    stopping: StoppingDep,
    wait: Wait,
    # receive() reads these, `params` and `tags`; they stand here for the contract.
    model: Annotated[str | None, _raw_query("`name` or `name@version`")] = None,  # noqa: ARG001
    filename: Annotated[str | None, _raw_query("the file's name")] = None,  # noqa: ARG001
) -> Job:
    """Accepts an image or a volume and queues its segmentation."""
    job = await _accept(request, resources)
    response.headers["Location"] = job_path(job.id)
    # Whatever happens to it now, it was accepted: also where the service stops meanwhile, that is the answer.
    with contextlib.suppress(EmserveError, asyncio.CancelledError):
        job = await _wait_for_end(resources, stopping, job, wait or 0)
    if wait is not None and job.status.ended:
        response.status_code = 200
    return _answer(job, wait, response)


@router.get("/{job_id}", response_model=Job, responses={200: {"headers": JOB_HEADERS}})
async def read_job(
    job_id: JobId, resources: ResourcesDep, stopping: StoppingDep, wait: Wait, response: Response
) -> Job:
    """The job; with `Prefer: wait=N` as soon as it has ended, or after N seconds."""
    job = await asyncio.to_thread(resources.book.read, job_id)
    job = await _wait_for_end(resources, stopping, job, wait or 0)
    return _answer(job, wait, response)


@router.get("", response_model=JobPage)
def list_jobs(  # each is a query parameter of the contract
    resources: ResourcesDep,
    status: JobStatus | None = None,
    model: Annotated[str | None, Query(max_length=200, description="`name` or `name@version`.")] = None,
    tag: Annotated[str | None, Query(max_length=400, description="`key:value`.")] = None,
    created_after: Moment | None = None,
    page_size: Annotated[int, Query(ge=1, le=100)] = 20,
    page_token: Annotated[str | None, Query(max_length=200)] = None,
) -> JobPage:
    """Jobs, newest first."""
    chosen = Filter(status=status, model=model, tag=_parse_tag(tag), created_after=created_after)
    page = resources.book.page(chosen, _parse_token(page_token), page_size)
    token = page.next_page_token
    return JobPage(
        jobs=[linked(job) for job in page.jobs], next_page_token=_make_token(token) if token else None
    )


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    response_model=Job,
    responses={200: {"model": Job, "description": "The job had ended already; it is unchanged"}},
)
def cancel_job(job_id: JobId, resources: ResourcesDep, response: Response) -> Job:
    """Stops a job: a queued one at once, a running one within two seconds."""
    job, changed = resources.book.cancel(job_id)
    response.status_code = 202 if changed else 200
    return linked(job)


@router.delete("/{job_id}", status_code=204, response_class=Response)
def delete_job(job_id: JobId, resources: ResourcesDep) -> None:
    """Removes a job for good, with its image and its results; stops it first if it has not ended."""
    resources.book.delete(job_id)


async def _accept(request: Request, resources: Resources) -> Job:
    """Makes a job of the request's image. Raises what is wrong with it; then nothing of it is left."""
    job_id = new_id()
    with resources.uploads.one():
        try:
            key = storage.input_key(job_id)
            received = await receive(request, resources.store, key, resources.settings, resources.intake)
            return await resources.run_admission(lambda: admit(resources, job_id, received))
        except StorageUnavailable:  # nobody knows what it took
            resources.withdrawals.add(job_id)
            raise
        except BaseException:  # a client that went away included: an upload without a job leaves nothing
            await _remove(resources, job_id)
            raise


async def _remove(resources: Resources, job_id: str) -> None:
    try:
        await resources.run_admission(lambda: storage.remove_all(resources.store, storage.job_prefix(job_id)))
    except EmserveError as error:
        log.warning("cannot remove a refused upload yet", extra={"reason": error.for_operators})
        resources.withdrawals.add(job_id)


async def _wait_for_end(resources: Resources, stopping: Stopping, job: Job, seconds: float) -> Job:
    """The job as soon as it has ended, the seconds are over, or the service is told to stop."""
    deadline = time.monotonic() + seconds
    pause = _POLL_SECONDS
    while not job.status.ended and not stopping.has_begun and (left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, _POLL_SECONDS_AT_MOST)
        job = await asyncio.to_thread(resources.book.read, job.id)
    return job


def _answer(job: Job, wait: int | None, response: Response) -> Job:
    """The job, with the headers that belong to it."""
    if wait is not None:
        response.headers["Preference-Applied"] = f"wait={wait}"
    if not job.status.ended:
        response.headers["Retry-After"] = str(_RETRY_SECONDS)
    return linked(job)


def _parse_tag(tag: str | None) -> tuple[str, str] | None:
    if tag is None:
        return None
    name, colon, value = tag.partition(":")
    if not name or not colon:
        detail = f"A tag is asked for as key:value; given: {tag!r}."
        raise InvalidRequest(detail, errors=[FieldError("/query/tag", detail)])
    return name, value


def _make_token(last_id: str) -> str:
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def _parse_token(token: str | None) -> str | None:
    if token is None:
        return None
    detail = "This page token is none of this server's; take it from `next_page_token` of the page before."
    try:
        last_id = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(detail, errors=[FieldError("/query/page_token", detail)]) from error
    if not PATTERN.fullmatch(last_id):
        raise InvalidRequest(detail, errors=[FieldError("/query/page_token", detail)])
    return last_id
