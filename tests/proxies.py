"""A real HTTP proxy on this machine: it opens tunnels (CONNECT), all to one place, or refuses to."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.serving import serving

_PIECE = 64 * 1024


@dataclass
class TunnelProxy:
    """Where tunnels lead, and what was asked for."""

    port: int
    """Of this machine; the end of every tunnel, so that names may be of hosts that do not exist."""
    refusal: int | None = None
    """Answer with this status in place of a tunnel."""
    url: str = ""
    asked: list[str] = field(default_factory=list)
    """Host and port of each tunnel that was asked for, and the credentials if there were any."""


class _Handler(BaseHTTPRequestHandler):
    proxy: TunnelProxy

    def do_CONNECT(self) -> None:
        self.proxy.asked.append(" ".join(filter(None, (self.path, self.headers.get("Proxy-Authorization")))))
        if self.proxy.refusal is not None:
            self.send_error(self.proxy.refusal)
            return
        with socket.create_connection(("127.0.0.1", self.proxy.port)) as far:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pass_on, args=(far, self.connection))
            back.start()
            _pass_on(self.connection, far)
            back.join()
        self.close_connection = True

    def log_message(self, *_: object) -> None:  # the base class logs to stderr
        return


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    """Bytes, until one side ends; then the other is told."""
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tunnel_proxy(port: int, refusal: int | None = None) -> Iterator[TunnelProxy]:
    """A proxy on a free port, whose tunnels end at `port` of this machine."""
    proxy = TunnelProxy(port, refusal)
    handler = type("Handler", (_Handler,), {"proxy": proxy})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield proxy
