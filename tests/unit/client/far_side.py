"""A real HTTP server that answers as a test scripts it, and keeps what it was asked."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from emserve.errors import ErrorKind
from emserve.jobs import PROBLEM_PREFIX, Job, JobInput, JobResult, JobStatus, PinnedModel, Problem
from emserve.params import Parameters
from tests.serving import serving

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """One answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    reads_body: bool = True
    """False answers, and closes, before the request's body is read."""
    cut_at: int | None = None
    """Closes the connection after so many bytes of the body."""
    is_silent: bool = False
    """Answers nothing, until the other side has had enough."""


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class FarSide:
    """Gives its replies in their order, the last one again and again."""

    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def next_reply(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


class _Server(ThreadingHTTPServer):
    def __init__(self, far_side: FarSide) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.far_side = far_side


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        server = self.server
        if not isinstance(server, _Server):
            raise TypeError(server)
        reply = server.far_side.next_reply()
        body = self._read_body() if reply.reads_body else b""
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        server.far_side.asked.append(
            Asked(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        )
        if reply.is_silent:
            self.close_connection = not self.rfile.read(1)  # at its end once the other side has closed
            return
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        if not reply.reads_body:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut_at])
        if reply.cut_at is not None or not reply.reads_body:
            self.close_connection = True

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815  # the names that the base class looks for

    def log_message(self, *_: object) -> None:  # the base class logs to stderr
        return

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            pieces = []
            while size := int(self.rfile.readline(), 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


@contextmanager
def far_side(*replies: Reply) -> Iterator[FarSide]:
    """A server on a free port of this machine that gives `replies`."""
    side = FarSide(replies=list(replies))
    server = _Server(side)
    side.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield side


def make_job(status: JobStatus = JobStatus.SUCCEEDED, job_id: str = "0199-a", **changes: object) -> Job:
    """A job as the service would show it."""
    result = JobResult(
        objects=2,
        dtype="uint8",
        shape=[4, 5],
        axes="YX",
        downsampling=1,
        device="cpu",
        precision="float32",
        seconds={"infer": 0.5},
    )
    job = Job(
        id=job_id,
        status=status,
        attempt=1,
        model=PinnedModel(name="mitonet", version="starter", sha256=None),
        params=Parameters(),
        tags={},
        warnings=[],
        input=JobInput(
            filename="cell.tif",
            bytes=20,
            sha256="0" * 64,
            shape=[4, 5],
            axes="YX",
            dtype="uint8",
            pixel_size_nm=None,
            pixel_size_source=None,
        ),
        result=result if status is JobStatus.SUCCEEDED else None,
        error=make_problem() if status is JobStatus.FAILED else None,
        created_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    )
    return job.model_copy(update=changes)


def make_problem(status: int = 422) -> Problem:
    return Problem(
        type=PROBLEM_PREFIX + "unreadable-image",
        title="The image cannot be read",
        status=status,
        detail="The TIFF ends after 12 bytes.",
        request_id="r-1",
        kind=ErrorKind.USER,
    )


def json_reply(content: Job | Problem | bytes, status: int = 200) -> Reply:
    body = content if isinstance(content, bytes) else content.model_dump_json().encode()
    return Reply(status, body, JSON)
