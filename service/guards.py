"""What every request passes first: a request id, the Host and Origin checks, strict headers."""

import re
import time
from urllib.parse import urlsplit

from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emserve.errors import ErrorKind
from emserve.ids import new_id
from emserve.jobs import PROBLEM_PREFIX, Problem
from emserve.logs import about
from service.problems import problem_response

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_JOB_PATH = re.compile(r"/v1/jobs/([A-Za-z0-9_-]{1,64})(?:/|$)")
_READING = ("GET", "HEAD")
_EXPOSED = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Preference-Applied",
    "Repr-Digest",
    "Retry-After",
    "X-Request-ID",
)
"""What pages of other origins may see of an answer besides its body."""
_STRICT = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class RequestId:
    """Gives each request an id, the caller's if it is decent; echoes it, logs it, adds strict headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else new_id()
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _STRICT.items():
                    headers.setdefault(name, value)
            await send(message)

        job = _JOB_PATH.match(scope["path"])
        with about(request_id=request_id, **({"job_id": job[1]} if job else {})):
            await self._app(scope, receive, send_with_headers)


class HeadAsGet:
    """Answers HEAD wherever GET works (RFC 9110, section 9.3.2); the server leaves the body away.

    `request.state.is_head` tells it from a GET to those that would read much for a body.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            is_head = scope["method"] == "HEAD"
            # A copy: the server must go on seeing what was asked.
            scope = {**scope, "state": {**scope.get("state", {}), "is_head": is_head}}
            if is_head:
                scope["method"] = "GET"
        await self._app(scope, receive, send)


class KnownHost:
    """Refuses requests that a foreign web page may have sent: unknown Host, foreign Origin. Pages of the
    origins `readers` may read, which their browsers learn from headers (CORS).

    Until there are keys, this is what keeps a page in the user's browser from the service
    (DNS rebinding, cross-site requests).
    """

    def __init__(self, app: ASGIApp, allowed: frozenset[str], readers: frozenset[str]) -> None:
        self._app = app
        self._allowed = _LOOPBACK | allowed
        self._readers = readers
        self._shared = CORSMiddleware(
            app,
            allow_origins=readers,
            allow_methods=_READING,
            allow_headers=("*",),
            allow_private_network=True,
            expose_headers=_EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            fault = self._fault(scope, headers)
            if fault:
                app = _forbidden(scope, fault)
            elif self._readers and headers.get("origin") in {None, *self._readers} and _is_reading(scope):
                app = self._shared  # also for requests of no page, so that caches tell the answers apart
        await app(scope, receive, send)

    def _fault(self, scope: Scope, headers: Headers) -> str | None:
        if any(len(headers.getlist(name)) > 1 for name in ("host", "origin")):
            return "The request has several Host or Origin fields, of which none can be believed."
        host = headers.get("host", "")
        if _host_name(f"//{host}") not in self._allowed:
            return (
                f"This service does not answer to the host {host[:100]!r}. The operator can add it to "
                "EMSERVE_ALLOWED_HOSTS."
            )
        origin = headers.get("origin")
        if origin is None or _host_name(origin) in self._allowed:
            return None
        if origin in self._readers:
            return None if _is_reading(scope) else f"Pages of {origin[:100]!r} may read, and do nothing else."
        return (
            f"Requests from pages of {origin[:100]!r} are not accepted. The operator can let them read with "
            "EMSERVE_ALLOWED_ORIGINS."
        )


class Measured:
    """Counts and times requests by route."""

    def __init__(self, app: ASGIApp, requests: Counter, seconds: Histogram) -> None:
        self._app = app
        self._requests = requests
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            # The template, never the path itself: ids would make a series each.
            route = getattr(scope.get("route"), "path", "unknown")
            self._requests.labels(scope["method"], route, str(status)).inc()
            self._seconds.labels(scope["method"], route).observe(time.perf_counter() - started)


def _is_reading(scope: Scope) -> bool:
    """Whether a request changes nothing, or, of a page's browser, asks whether one that changes nothing may
    come."""
    asked = Headers(scope=scope).get("access-control-request-method")
    return (asked if scope["method"] == "OPTIONS" else scope["method"]) in _READING


def _host_name(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _forbidden(scope: Scope, detail: str) -> ASGIApp:
    return problem_response(
        Problem(
            type=PROBLEM_PREFIX + "forbidden",
            title="Forbidden",
            status=403,
            detail=detail,
            instance=scope["path"],
            request_id=scope["state"]["request_id"],
            kind=ErrorKind.USER,
        )
    )
