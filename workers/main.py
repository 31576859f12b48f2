"""`python -m workers.main --device cpu`: one supervisor and its warm child."""

import argparse
import os
import socket

from emserve.book import JobBook
from emserve.logs import configure
from emserve.pairing import Pairing
from emserve.parts import end_with_parent
from emserve.settings import Settings
from emserve.storage import open_store
from emserve.tickets import connect
from workers.supervisor import Limits, Supervisor
from workers.warm_child import WarmChild


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.main", description=__doc__)
    parser.add_argument("--device", required=True, help="cpu or cuda:N")
    parser.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}", help="unique name")
    arguments = parser.parse_args()
    end_with_parent()
    settings = Settings()
    configure(settings.log_format)
    redis = connect(settings.redis_url)
    store = open_store(settings.storage_url)
    book, pairing = JobBook(store, redis), Pairing(store, redis, settings.storage_url)
    child = WarmChild(arguments.device, settings.environment())
    Supervisor(arguments.name, redis, book, child, Limits.of(settings), pairing).start(arguments.device)


if __name__ == "__main__":
    main()
