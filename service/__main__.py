"""`python -m service`: the API, on an address or on a listening socket that its parent opened."""

import argparse
import contextlib
import socket
import sys

import uvicorn

from emserve.parts import end_with_parent
from emserve.settings import Settings
from service.app import create_app
from service.protocol import BoundedHttp, allow_connections
from service.stopping import Stopping, StoppingServer

_KEEP_ALIVE_SECONDS = 30
_BACKLOG = 2048
_START_FAILED = 3


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--fd", type=int, help="an open listening socket")
    arguments = parser.parse_args()
    end_with_parent()
    allow_connections()
    settings, stopping = Settings(), Stopping()
    config = uvicorn.Config(
        create_app(settings, stopping),
        host=settings.host,
        port=settings.port,
        http=BoundedHttp,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )
    # As a socket, not as uvicorn's `fd`: that takes it for a Unix one and leaves TCP's delays on, 40 ms
    # an answer.
    sockets = None if arguments.fd is None else [socket.socket(fileno=arguments.fd)]
    server = StoppingServer(config, stopping)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets)
    if not server.started:
        sys.exit(_START_FAILED)


if __name__ == "__main__":
    main()
