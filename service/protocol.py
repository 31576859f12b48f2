"""uvicorn's HTTP/1.1 with bounds where it has none: the size of a request's head, the time for it, the number
of connections, how long a refused body may go on, and how long nothing of an answer may be taken. What breaks
a bound is answered with a problem, where it takes an answer."""

import asyncio
import contextlib
import fcntl
import resource
import socket
import struct
import sys
import termios
from http import HTTPStatus
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from emserve.errors import ErrorKind
from emserve.ids import new_id
from emserve.jobs import PROBLEM_PREFIX, Problem
from service.problems import MEDIA_TYPE

HEAD_BYTES = 64 * 1024
_HEAD_SECONDS = 30.0
_LINGER_SECONDS = 30.0
_SPARE_FILES = 256  # descriptors that are kept for files, the broker and the image processes
_WANTED_FILES = 65_536


class _HeadTooLarge(Exception):
    """The address and the headers of a request are too long."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    limit: ClassVar[int] = 1024 - _SPARE_FILES
    """Most connections of this process."""
    stall_seconds: ClassVar[float] = 300
    """How long a client may take nothing of an answer that waits for it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._patience: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._head_bytes = self._parsed_bytes = 0
        self._in_head = True
        self._wait(_HEAD_SECONDS)
        if len(self.connections) > self.limit:
            self._refuse(
                HTTPStatus.SERVICE_UNAVAILABLE, f"{self.limit} connections are open, the most there may be."
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_watching()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._parsed_bytes = 0
        self._wait(_HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        self._parsed_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._parsed_bytes += len(name) + len(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._parsed_bytes > HEAD_BYTES:  # it came whole, in one piece
            raise _HeadTooLarge  # the parser stops, and says that what came cannot be read
        self._in_head = False
        self._head_bytes = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and self.cycle.more_body:
            # The client still sends what was refused; a connection closed at once could lose our answer.
            self._wait(_LINGER_SECONDS)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        if self._parsed_bytes > HEAD_BYTES:
            self._refuse_head()
            return
        self._refuse(HTTPStatus.BAD_REQUEST, "What came is no HTTP request: its first lines cannot be read.")

    def _refuse_head(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"The request's address and headers have more than {HEAD_BYTES} bytes. Send parameters and tags "
            "as parts of a form instead.",
        )

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answers what never becomes a request, and ends the connection."""
        request_id = new_id()
        problem = Problem(
            type=PROBLEM_PREFIX + status.phrase.lower().replace(" ", "-"),
            title=status.phrase,
            status=status,
            detail=detail,
            request_id=request_id,
            kind=ErrorKind.USER if status < HTTPStatus.INTERNAL_SERVER_ERROR else ErrorKind.SYSTEM,
        )
        body = problem.model_dump_json(exclude_none=True).encode()
        headers = {
            "content-type": MEDIA_TYPE,
            "content-length": str(len(body)),
            "x-request-id": request_id,
            "x-content-type-options": "nosniff",
            "connection": "close",
        }
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["retry-after"] = "5"
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[status] + lines.encode() + b"\r\n" + body)
        self.transport.close()

    def _wait(self, seconds: float) -> None:
        """Closes the connection after `seconds`, unless what is waited for comes."""
        self._stop_waiting()
        self._patience = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _watch(self) -> None:
        """Ends the connection when its client takes nothing for `stall_seconds`."""
        self._stall = self.loop.call_later(self.stall_seconds, self._end_if_stalled, self._untaken_bytes())

    def _stop_watching(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _end_if_stalled(self, before: int) -> None:
        if self._untaken_bytes() < before:  # slow is not still
            self._watch()
            return
        with contextlib.suppress(OSError):  # without it the system would keep what it has for minutes more
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _untaken_bytes(self) -> int:
        """What was sent and the client's machine does not have: it waits here, or in the system, which takes
        megabytes of it and says nothing until a good part of them is gone."""
        waiting = bytes(4)
        with contextlib.suppress(OSError):  # not every system counts them
            waiting = fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, waiting)
        return self.transport.get_write_buffer_size() + int.from_bytes(waiting, sys.byteorder)

    @property
    def _socket(self) -> socket.socket:
        connection: socket.socket = self.transport.get_extra_info("socket")
        return connection


def allow_connections() -> None:
    """Raises this process's limit of open files as far as it may, and sets that of its connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    BoundedHttp.limit = (wanted if soft == resource.RLIM_INFINITY else soft) - _SPARE_FILES
