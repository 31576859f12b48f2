"""`python -m service`: the API, on an address or on a listening socket that its parent opened."""

import argparse

import uvicorn

from emserve.parts import end_with_parent
from emserve.settings import Settings
from service.app import create_app

_KEEP_ALIVE_SECONDS = 30
_BACKLOG = 2048


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--fd", type=int, help="an open listening socket")
    arguments = parser.parse_args()
    end_with_parent()
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.host,
        port=settings.port,
        fd=arguments.fd,
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
