"""Downloads that go on where they broke off, and end with a reason."""

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from emserve import __version__
from emserve.installer.errors import DownloadFailed

Answer = TypeVar("Answer")
OnBytes = Callable[[int, int], None]
"""Called with the bytes that are there, and of the whole."""

_RECORD_BYTES = 8 * 1024**2
_LEAST_RATE = 1024  # bytes per second; what is slower stands still
_LONGEST_PAUSE = 60.0
_NO_CONTACT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_REFUSAL = re.compile(r"4\d\d\b")  # how an answer of a proxy that will not connect begins
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


@dataclass(frozen=True)
class Patience:
    """How long a download waits, and how often it tries again."""

    silence_seconds: float = 30.0
    """How long a server may stay silent, or slower than 1 KiB/s."""
    attempts: int = 6
    """Tries in a row without a byte of progress."""
    first_pause_seconds: float = 0.5
    """Before the second try; doubled before each further one."""


class _Interrupted(Exception):
    """The attempt ended for a reason that may pass."""

    def __init__(self, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.wait_seconds = wait_seconds


class Downloader:
    """A client of one publisher. Proxies and certificates are those of the environment; TLS is verified."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._answered = False
        self._client = httpx.Client(
            timeout=httpx.Timeout(patience.silence_seconds),
            follow_redirects=True,
            headers={"User-Agent": f"emserve/{__version__}", "Accept-Encoding": "identity"},
            event_hooks={"request": [_refuse_downgrade()]},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def content(self, url: str) -> bytes:
        """A small document. Raises DownloadFailed."""

        def attempt() -> bytes:
            with self._answer(url, {}) as response:
                content = b""
                for chunk in self._at_a_rate(response.iter_bytes()):
                    content += chunk
                    if len(content) > _RECORD_BYTES:
                        raise DownloadFailed(f"{url} is larger than any record: over {_RECORD_BYTES} bytes.")
                return content

        return self._persist(url, attempt, lambda: 0)

    def file(self, url: str, path: Path, size_bytes: int, on_bytes: OnBytes) -> None:
        """Fetches `size_bytes` to `path`, from where an earlier call left off. Raises DownloadFailed."""

        def attempt() -> None:
            if _size(path) > size_bytes:
                path.unlink()
            have = _size(path)
            if have < size_bytes:
                self._fetch_rest(url, path, have, size_bytes, on_bytes)
            if _size(path) != size_bytes:
                raise _Interrupted(f"it ended after {_size(path)} of {size_bytes} bytes")

        self._persist(url, attempt, lambda: _size(path))
        on_bytes(size_bytes, size_bytes)

    def _fetch_rest(self, url: str, path: Path, have: int, size_bytes: int, on_bytes: OnBytes) -> None:
        with self._answer(url, {"Range": f"bytes={have}-"} if have else {}) as response:
            # Any other answer is the whole, from its beginning.
            have = _start(response, url) if response.status_code == httpx.codes.PARTIAL_CONTENT else 0
            with path.open("r+b" if path.exists() else "wb") as file:
                file.truncate(have)
                file.seek(have)
                for chunk in self._at_a_rate(response.iter_bytes()):
                    have += len(chunk)
                    if have > size_bytes:
                        path.unlink()
                        raise DownloadFailed(
                            f"{url} sends more than the {size_bytes} bytes of its record. Nothing was kept."
                        )
                    file.write(chunk)
                    file.flush()  # whatever ends this process, the file has all that came
                    on_bytes(have, size_bytes)

    def _at_a_rate(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The chunks, as long as they come faster than a trickle."""
        window = self._patience.silence_seconds
        begun, received = time.monotonic(), 0
        for chunk in chunks:
            yield chunk
            received += len(chunk)
            if time.monotonic() - begun > window:
                if received < _LEAST_RATE * window:
                    raise _Interrupted(f"only {received} bytes came within {window:g} s")
                begun, received = time.monotonic(), 0

    @contextlib.contextmanager
    def _answer(self, url: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """A response that is worth reading."""
        with self._client.stream("GET", url, headers=headers) as response:
            self._answered = True
            code = response.status_code
            if code == httpx.codes.TOO_MANY_REQUESTS or code >= httpx.codes.INTERNAL_SERVER_ERROR:
                raise _Interrupted(
                    f"the server answered {code} {response.reason_phrase}", _retry_after(response)
                )
            if code == httpx.codes.PROXY_AUTHENTICATION_REQUIRED:
                raise DownloadFailed(_refused_by_proxy(url, f"{code} {response.reason_phrase}"))
            if not response.is_success:
                raise DownloadFailed(
                    f"{url} answered {code} {response.reason_phrase}. If the publisher has moved it, "
                    "--from names another address or a folder."
                )
            yield response

    def _persist(self, url: str, attempt: Callable[[], Answer], progress: Callable[[], int]) -> Answer:
        """Tries again, with longer and longer pauses, as long as there is hope."""
        failures, reached = 0, progress()
        while True:
            try:
                return attempt()
            except _Interrupted as error:
                reason, wait = str(error), error.wait_seconds
            except httpx.TransportError as error:
                if isinstance(error, httpx.ProxyError) and _REFUSAL.match(str(error)):
                    raise DownloadFailed(_refused_by_proxy(url, str(error))) from error
                if not self._answered and isinstance(error, _NO_CONTACT):
                    raise DownloadFailed(_unreachable(url, error)) from error
                reason, wait = _transport_reason(error, self._patience), None
            except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
                raise DownloadFailed(f"{url} cannot be fetched: {error}.") from error
            failures = 1 if progress() > reached else failures + 1
            reached = max(reached, progress())
            if failures >= self._patience.attempts:
                raise DownloadFailed(
                    f"{url} could not be fetched: {reason}, {failures} times in a row. What has arrived "
                    "is kept; the same command goes on from there."
                )
            time.sleep(self._pause(failures) if wait is None else wait)

    def _pause(self, failures: int) -> float:
        doubled: float = self._patience.first_pause_seconds * 2 ** (failures - 1)
        return min(_LONGEST_PAUSE, doubled * random.uniform(0.8, 1.2))


def _refuse_downgrade() -> Callable[[httpx.Request], None]:
    """A hook that lets no request leave TLS once one has used it."""
    secure = False

    def check(request: httpx.Request) -> None:
        nonlocal secure
        if secure and request.url.scheme != "https":
            raise DownloadFailed(
                f"The publisher's server leads from https to {request.url}, which is refused."
            )
        secure = secure or request.url.scheme == "https"

    return check


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _start(response: httpx.Response, url: str) -> int:
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if found is None:
        raise DownloadFailed(f"{url} sends a part of the file and does not say which.")
    return int(found[1])


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("Retry-After", "")
    return min(float(value), _LONGEST_PAUSE) if value.isdecimal() else None


def _words(error: httpx.TransportError) -> str:
    return str(error) or type(error).__name__


def _transport_reason(error: httpx.TransportError, patience: Patience) -> str:
    if isinstance(error, httpx.TimeoutException):
        return f"the server was silent for {patience.silence_seconds:g} s"
    return f"the connection broke ({_words(error)})"


def _unreachable(url: str, error: httpx.TransportError) -> str:
    host = urlsplit(url).hostname
    if "CERTIFICATE" in str(error).upper():
        return (
            f"{host} does not prove who it is: {error}. If your network has an authority of its own, name "
            "its certificate in SSL_CERT_FILE."
        )
    proxy = _proxy_of(url)
    through = f" through the proxy {proxy} that the environment names" if proxy else ""
    return (
        f"{host} cannot be reached{through}: {_words(error)}. Without a network, fetch the "
        "files elsewhere and give their folder with --from."
    )


def _refused_by_proxy(url: str, answer: str) -> str:
    host = urlsplit(url).hostname
    remedy = (
        "Give it the user and password that it asks for: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
        if answer.startswith("407")
        else f"Have it let {host} through, or name the host in NO_PROXY if there is a way without it."
    )
    return (
        f"The proxy {_proxy_of(url) or 'on the way'} refuses the way to {host}: it answered {answer}. "
        f"{remedy} Or fetch the files elsewhere and give their folder with --from."
    )


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address, without its password."""
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return None if proxy is None or proxy_bypass(parts.hostname or "") else _without_password(proxy)


def _without_password(proxy: str) -> str:
    parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


def forget(path: Path) -> None:
    """Removes a partial download."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
