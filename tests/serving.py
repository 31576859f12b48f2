"""Servers of tests, each in a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

_POLL_SECONDS = 0.02  # how long a stop waits at most


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Meanwhile `server` answers."""
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
    with server:
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
