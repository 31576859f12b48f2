"""Calls and answers in httpx's terms: what both clients hand to it and how its faults read."""

from dataclasses import dataclass
from typing import Any

import httpx

from emserve import __version__
from emserve.client.address import choose_url, is_local
from emserve.client.answer import Answer, Broken
from emserve.client.call import Call
from emserve.client.errors import InvalidParameters

_CONNECT_SECONDS = 5.0
_LONGEST_SECONDS = 86_400
# A process may have 256 files open where systems are strict; further calls wait for their turn.
_LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=20)
_LOST = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.RemoteProtocolError,
)
_HEADERS = {
    "User-Agent": f"emserve/{__version__}",
    "Accept": "*/*",
    # The digests that the service announces are those of the bytes as they are.
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True)
class Wire:
    """Where the service is, and how long its answers may take."""

    url: str
    timeout_seconds: float
    """Longest silence in the middle of an exchange, and longest wait for an ordinary answer."""

    @classmethod
    def to(cls, url: str | None, timeout_seconds: float) -> "Wire":
        """Raises BadAddress and InvalidParameters."""
        given: object = timeout_seconds
        if not isinstance(given, int | float) or not 0 < given <= _LONGEST_SECONDS:
            raise InvalidParameters(
                f"`timeout` is a number of seconds above 0, at most a day; not {given!r:.80}."
            )
        return cls(choose_url(url), timeout_seconds)

    def client_options(self) -> dict[str, Any]:  # keyword arguments of httpx's two clients
        return {"headers": _HEADERS, "limits": _LIMITS, "trust_env": not is_local(self.url)}

    def request_options(self, call: Call) -> dict[str, Any]:  # keyword arguments of httpx's stream()
        timeout = httpx.Timeout(
            self.timeout_seconds,
            connect=min(_CONNECT_SECONDS, self.timeout_seconds),
            read=self.timeout_seconds + call.patience_seconds,
            pool=None,  # a caller's many calls say nothing of the service
        )
        return {
            "method": call.method,
            "url": f"{self.url}{call.path}",
            "params": dict(call.query),
            "headers": dict(call.headers),
            "timeout": timeout,
        }

    def answer(self, response: httpx.Response, content: bytes) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(str(response.url.copy_with(query=None)), response.status_code, headers, content)

    def broken(self, error: httpx.TransportError, call: Call) -> Broken:
        may_repeat = isinstance(error, _LOST)
        if isinstance(error, httpx.ConnectTimeout):
            reason = f"no connection within {min(_CONNECT_SECONDS, self.timeout_seconds):g} s"
        elif isinstance(error, httpx.TimeoutException):
            reason = f"silent for {self.timeout_seconds + call.patience_seconds:g} s"
            may_repeat = call.is_stubborn
        else:
            reason = str(error) or type(error).__name__
        return Broken(self.url, reason, may_repeat)
