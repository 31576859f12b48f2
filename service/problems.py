"""Every error as application/problem+json (RFC 9457), from one place."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emserve.errors import (
    EmserveError,
    EncodedBody,
    ErrorKind,
    FieldError,
    InvalidRequest,
    ResultNotReady,
    ServiceStopping,
)
from emserve.jobs import PROBLEM_PREFIX, Problem
from emserve.wording import words_of
from service.files import RangeNotSatisfiable

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_FOR_NOW = (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.INSUFFICIENT_STORAGE)


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def request_id(request: Request) -> str | None:
    value: str | None = request.scope.get("state", {}).get("request_id")
    return value


def add_handlers(app: FastAPI) -> None:
    app.add_exception_handler(EmserveError, _on_emserve_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_unexpected)


def from_validation(error: ValidationError, where: str) -> InvalidRequest:
    """A pydantic error about the part `where` of a request, as ours."""
    faults = [_fault(each, (where, *each["loc"])) for each in error.errors(include_url=False)]
    return InvalidRequest(_summary(faults), errors=faults)


def _on_emserve_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, EmserveError):
        raise error
    if error.is_routine:
        log.debug("not ready", extra={"reason": error.for_operators})
    elif error.status in _FOR_NOW:  # a flood of requests must not become one of stacks
        log.warning("request turned away", extra={"problem": error.slug, "reason": error.for_operators})
    elif error.kind is ErrorKind.SYSTEM:
        log.error("request failed", exc_info=error)
    problem = Problem.of(error, instance=request.url.path, request_id=request_id(request))
    return problem_response(problem, _headers_of(error))


def _headers_of(error: EmserveError) -> dict[str, str]:
    if isinstance(error, RangeNotSatisfiable):
        return {"Content-Range": f"bytes */{error.size_bytes}"}
    if isinstance(error, EncodedBody):
        return {"Accept-Encoding": "identity"}
    if isinstance(error, ResultNotReady):
        return {"Retry-After": "1"}
    return {"Retry-After": "5"} if error.status == HTTPStatus.SERVICE_UNAVAILABLE else {}


def _on_invalid_request(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    faults = [_fault(each, each["loc"]) for each in error.errors()]
    return _on_emserve_error(request, InvalidRequest(_summary(faults), errors=faults))


def _on_http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    phrase = HTTPStatus(error.status_code).phrase
    slash = " Addresses have no slash at their end." if request.url.path.endswith("/") else ""
    details = {
        404: f"There is nothing at {request.url.path}.{slash} GET /docs lists what there is.",
        405: f"{request.method} is not possible here; the Allow header says what is.",
    }
    problem = Problem(
        type=PROBLEM_PREFIX + phrase.lower().replace(" ", "-"),
        title=phrase,
        status=error.status_code,
        detail=details.get(error.status_code, str(error.detail)),
        instance=request.url.path,
        request_id=request_id(request),
        kind=ErrorKind.USER if error.status_code < 500 else ErrorKind.SYSTEM,
    )
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return problem_response(problem, headers)


def _methods(request: Request) -> list[str]:
    """What can be done at this path; Starlette names the methods of the first route only."""
    return [each for each in sorted(HTTPMethod) if _is_there(request, each)]


def _is_there(request: Request, method: str) -> bool:
    # HEAD is answered wherever GET is.
    scope = {**request.scope, "method": "GET" if method == HTTPMethod.HEAD else method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def _on_disconnect(request: Request, error: Exception) -> Response:
    log.info("the client went away", extra={"path": request.url.path, "reason": type(error).__name__})
    return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody reads it


class LastResort:
    """Answers what nobody foresaw. FastAPI's own place for that lies outside the request's id and headers,
    and cuts the connection off."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def note_begin(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, note_begin)
        except asyncio.CancelledError:
            if has_begun or scope["type"] != "http":
                raise
            # Uvicorn's way to end what is still being answered some seconds after it was told to stop.
            await _on_emserve_error(Request(scope), ServiceStopping())(scope, receive, send)
        except Exception as error:
            if has_begun or scope["type"] != "http":
                raise  # half an answer must not look like a whole one
            await _on_unexpected(Request(scope), error)(scope, receive, send)


def _on_unexpected(request: Request, error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    detail = "The service failed to answer this request. The log has the reason under the request id."
    return problem_response(
        Problem.of(EmserveError(detail), instance=request.url.path, request_id=request_id(request))
    )


def _fault(error: ErrorDetails | Mapping[str, Any], location: Sequence[str | int]) -> FieldError:
    # Beyond the value's own name, text in a location names a branch of a type, which no document has.
    place = [*location[:2], *(step for step in location[2:] if isinstance(step, int))]
    message = words_of(error)
    given = error.get("input")
    shown = f"; given: {given!r:.80}" if isinstance(given, str | int | float | bool | list) else ""
    return FieldError.at(place, message + shown)


def _summary(faults: Sequence[FieldError]) -> str:
    return " ".join(f"{fault.pointer}: {fault.detail}." for fault in faults[:5])
