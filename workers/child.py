"""The warm child: holds the models, runs one attempt at a time. `python -m workers.child FD DEVICE`."""

import logging
import signal
import sys
import time
from multiprocessing.connection import Connection

from emserve.book import JobBook
from emserve.errors import StorageUnavailable
from emserve.lineage import die_with_parent
from emserve.logs import about, configure
from emserve.scratch import ScratchUnusable, probe, sweep
from emserve.settings import Settings
from emserve.storage import open_store
from emserve.tickets import connect
from workers.bench import Bench
from workers.inference.engine import DeviceUnusable
from workers.messages import Advanced, Assignment, Begun, Ended, Interrupted, Ready, receive, send
from workers.tasks import segment

log = logging.getLogger(__name__)

_STORAGE_PATIENCE_SECONDS = 180.0  # to wait costs a job less than to begin again
_STEP_SECONDS = 1.0  # steps of a volume may be short; the supervisor need not hear of each


def main() -> None:
    """Warms up, says so, then works through assignments until its supervisor is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides when this process ends
    die_with_parent()
    descriptor, device = int(sys.argv[1]), sys.argv[2]
    settings = Settings()
    configure(settings.log_format)
    try:
        probe(settings.scratch_dir)
        sweep(settings.scratch_dir)
        _serve(settings, descriptor, device)
    except (ScratchUnusable, DeviceUnusable) as error:
        log.error("no job can be worked on", extra={"reason": str(error)})
        sys.exit(1)


def _serve(settings: Settings, descriptor: int, device: str) -> None:
    """Raises ScratchUnusable where no job can begin, and DeviceUnusable where none can go on."""
    bench = open_bench(settings, device)
    connection: Connection[bytes, bytes] = Connection(descriptor)
    try:
        send(connection, Ready(device=device, residents=bench.shelf.residents()))
        while True:
            assignment = receive(connection)
            if isinstance(assignment, Assignment):
                probe(settings.scratch_dir)  # whoever is not told of the beginning gives the job back
                send(connection, Begun(job_id=assignment.job_id))
                _work(bench, assignment, connection)
    except (EOFError, OSError):
        log.info("the supervisor is gone; ending")
    finally:
        bench.close()


def _work(bench: Bench, assignment: Assignment, connection: "Connection[bytes, bytes]") -> None:
    said = time.monotonic()

    def on_step() -> None:
        nonlocal said
        if time.monotonic() - said > _STEP_SECONDS:
            said = time.monotonic()
            try:
                send(connection, Advanced(job_id=assignment.job_id))
            except OSError:  # nobody watches any more; whoever takes the job over goes on with it
                log.info("the supervisor is gone; ending")
                sys.exit()

    with about(**assignment.traces):
        try:
            segment(bench, assignment, on_step)
        except (StorageUnavailable, ScratchUnusable) as error:
            log.warning("storage or scratch folder went away", extra={"reason": error.for_operators})
            send(connection, Interrupted(job_id=assignment.job_id))
        else:
            send(connection, Ended(job_id=assignment.job_id, residents=bench.shelf.residents()))


def open_bench(settings: Settings, device: str) -> Bench:
    """Everything that a job needs, models of the warm list included."""
    store = open_store(settings.storage_url, _STORAGE_PATIENCE_SECONDS)
    book = JobBook(store, connect(settings.redis_url))
    bench = Bench.open(settings, book, device)
    bench.warm_up()
    return bench


if __name__ == "__main__":
    main()
