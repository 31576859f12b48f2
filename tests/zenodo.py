"""A publisher on this machine: a real HTTP server that answers as Zenodo's API does, troubles included."""

import hashlib
import json
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.serving import serving

_RANGE = re.compile(r"bytes=(\d+)-")
_CHUNK = 64 * 1024


@dataclass(frozen=True)
class Trouble:
    """What is wrong with one answer to a request for a file."""

    status: int | None = None
    """Answer with this in place of the file."""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    """Close the connection after so many bytes."""
    stall_at: int | None = None
    """Send nothing more after so many bytes, and keep the connection."""
    trickle_at: int | None = None
    """Send a byte now and then after so many bytes."""
    ignores_range: bool = False


@dataclass
class Zenodo:
    """Records and files, and how the next answers go wrong."""

    url: str = ""
    files: dict[str, dict[str, Path | bytes]] = field(default_factory=dict)
    """Record number to file name to content."""
    checksums: dict[str, str] = field(default_factory=dict)
    """What records say of a file, in place of the truth."""
    sizes: dict[str, int] = field(default_factory=dict)
    """The same of its size."""
    troubles: list[Trouble] = field(default_factory=list)
    """Taken in their order by requests for files."""
    record_troubles: list[Trouble] = field(default_factory=list)
    records: dict[str, bytes] = field(default_factory=dict)
    """Answers to requests for records, in place of true ones."""
    link_to: str | None = None
    """Address that records name as that of their files; this server's own without it."""
    redirect_to: str | None = None
    """Where requests for files are led first; within this server without it."""
    asked: list[str] = field(default_factory=list)
    """Path, and range if there was one, of each request."""
    released: threading.Event = field(default_factory=threading.Event)
    """Set at the end, so that a stalled answer ends, too."""

    def content(self, number: str, name: str) -> bytes:
        held = self.files[number][name]
        return held if isinstance(held, bytes) else held.read_bytes()

    def record(self, number: str) -> bytes:
        """The record as JSON, in the shape of Zenodo's answers."""
        if number in self.records:
            return self.records[number]
        doi = f"10.5281/zenodo.{number}"
        files = [self._entry(number, name) for name in self.files[number]]
        metadata = {
            "title": f"Weights of record {number}",
            "doi": doi,
            "publication_date": "2022-07-19",
            "creators": [{"name": "Conrad, Ryan", "affiliation": "NCI"}, {"name": "Narayan, Kedar"}],
            "license": {"id": "cc-by-4.0"},
            "access_right": "open",
        }
        record = {"id": int(number), "doi": doi, "metadata": metadata, "files": files, "stats": {"views": 1}}
        return json.dumps(record).encode()

    def _entry(self, number: str, name: str) -> dict[str, object]:
        content = self.content(number, name)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        base = self.link_to or self.url
        return {
            "id": f"id-of-{name}",
            "key": name,
            "size": self.sizes.get(name, len(content)),
            "checksum": self.checksums.get(name, f"md5:{md5}"),
            "links": {"self": f"{base}/api/records/{number}/files/{name}/content"},
        }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, zenodo: Zenodo, handler: "type[_Handler]") -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.zenodo = zenodo

    def handle_error(self, *_: object) -> None:  # clients of these tests hang up, and TLS fails, on purpose
        return


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def zenodo(self) -> Zenodo:
        server = self.server
        if not isinstance(server, _Server):
            raise TypeError(server)
        return server.zenodo

    def do_GET(self) -> None:
        path = re.sub(r"^http://[^/]+", "", self.path)  # what a proxy is asked for has its host in it
        self.zenodo.asked.append(" ".join(filter(None, (path, self.headers.get("Range")))))
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "records"] and len(parts) == 3:
            self._answer_record(parts[2])
        elif parts[:2] == ["api", "records"] and parts[-1] == "content":
            where = self.zenodo.redirect_to or self.zenodo.url
            self._head(302, {"Location": f"{where}/storage/{parts[2]}/{parts[4]}", "Content-Length": "0"})
        elif parts[0] == "storage":
            self._answer_file(parts[1], parts[2])
        else:
            self._error(404)

    def _answer_record(self, number: str) -> None:
        troubles = self.zenodo.record_troubles
        trouble = troubles.pop(0) if troubles else Trouble()
        if trouble.status is not None or number not in {*self.zenodo.files, *self.zenodo.records}:
            self._error(trouble.status or 404, trouble.headers)
            return
        body = self.zenodo.record(number)
        self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
        self.wfile.write(body)

    def _answer_file(self, number: str, name: str) -> None:
        trouble = self.zenodo.troubles.pop(0) if self.zenodo.troubles else Trouble()
        if trouble.status is not None:
            self._error(trouble.status, trouble.headers)
            return
        content = self.zenodo.content(number, name)
        asked = None if trouble.ignores_range else _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        headers = {"Content-Length": str(len(content) - start), "Accept-Ranges": "bytes"}
        if asked:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._head(206 if asked else 200, headers)
        self._send(content[start:], trouble)

    def _send(self, body: bytes, trouble: Trouble) -> None:
        stops = (trouble.cut_at, trouble.stall_at, trouble.trickle_at)
        end = next((stop for stop in stops if stop is not None), len(body))
        for position in range(0, end, _CHUNK):
            self.wfile.write(body[position : min(position + _CHUNK, end)])
        self.wfile.flush()
        if trouble.stall_at is not None:
            self.zenodo.released.wait(30)
        while trouble.trickle_at is not None and not self.zenodo.released.wait(0.1):
            self.wfile.write(body[end : end + 1])
            end += 1
        if end < len(body):
            self.close_connection = True

    def _error(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps({"status": status, "message": "as the test wishes"}).encode()
        self._head(status, {"Content-Length": str(len(body)), **(headers or {})})
        self.wfile.write(body)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:  # the base class logs to stderr
        return


@contextmanager
def zenodo(certificate: ssl.SSLContext | None = None, **fields: object) -> Iterator[Zenodo]:
    """A publisher on a free port; with a certificate it speaks TLS."""
    publisher = Zenodo(**fields)  # type: ignore[arg-type]  # its own fields, whatever they are
    server = _Server(publisher, _Handler)
    scheme = "http"
    if certificate is not None:
        scheme = "https"
        server.socket = certificate.wrap_socket(server.socket, server_side=True)
    publisher.url = f"{scheme}://localhost:{server.server_port}"
    with serving(server):
        try:
            yield publisher
        finally:
            publisher.released.set()
