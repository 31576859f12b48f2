"""`emserve up` runs the whole service; `emserve worker` runs workers for one that runs elsewhere."""

import contextlib
import os
import socket
import time
from pathlib import Path

import typer
from obstore.store import ObjectStore
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console

from emserve import __version__
from emserve.broker import server_version
from emserve.cli import up_options as option
from emserve.cli.household import Household, Outline
from emserve.cli.listener import listen, url_of
from emserve.cli.probe import Probe
from emserve.cli.signals import Signals
from emserve.cli.steps import Steps
from emserve.cli.welcome import Readiness, count, to_try, welcome, workers_text
from emserve.errors import BrokerUnavailable, StorageFull, StorageUnavailable
from emserve.fleet import Fleet
from emserve.folder import FolderLock
from emserve.pairing import Pairing
from emserve.running import RunningRecord
from emserve.scratch import probe as probe_scratch
from emserve.settings import Settings
from emserve.storage import open_store, storage_errors
from emserve.tenancy import Tenancy
from emserve.tickets import connect

_STORAGE_PATIENCE_SECONDS = 2.0


def up(  # the parameters are the command's options
    host: option.Host = None,
    port: option.Port = None,
    data_dir: option.DataDir = None,
    workers: option.Workers = None,
    device: option.Device = None,
    threads: option.Threads = None,
    redis: option.RedisUrl = None,
    storage: option.StorageUrl = None,
    log_dir: option.LogDir = None,
    api_only: option.ApiOnly = False,
    allow_anonymous: option.AllowAnonymous = None,
) -> None:
    """Run the service: its job queue, the API, and warm workers on each device.

    Every option can be given as a variable too: --data-dir is EMSERVE_DATA_DIR.
    """
    if api_only and workers:
        raise typer.BadParameter("--api-only starts no worker; leave --workers away, or --api-only.")
    option.tell_of_strangers()
    settings = option.settings_of(
        {
            "host": host,
            "port": port,
            "data_dir": data_dir,
            "workers": 0 if api_only else workers,
            "device": device,
            "threads": threads,
            "redis": redis,
            "storage": storage,
            "allow_anonymous": allow_anonymous,
        }
    )
    option.refuse_exposure(settings)
    option.refuse_unknown_models(settings)
    _run_service(_outline(settings, log_dir))


def worker(
    data_dir: option.DataDir = None,
    workers: option.Workers = None,
    device: option.Device = None,
    threads: option.Threads = None,
    redis: option.RedisUrl = None,
    storage: option.StorageUrl = None,
    log_dir: option.LogDir = None,
) -> None:
    """Run only workers, for a service that runs elsewhere on the same Redis and storage.

    Without --redis they join the `emserve up` of the same data folder.
    """
    option.tell_of_strangers()
    settings = option.settings_of(
        {
            "data_dir": data_dir,
            "workers": workers,
            "device": device,
            "threads": threads,
            "redis": redis,
            "storage": storage,
        }
    )
    if settings.workers == 0:
        raise typer.BadParameter("--workers 0 leaves nothing to run; give at least 1.")
    option.refuse_unknown_models(settings)
    _run_workers(_outline(settings, log_dir))


def _outline(settings: Settings, log_dir: Path | None) -> Outline:
    if log_dir is None and Console().is_terminal:
        log_dir = settings.data_dir / "logs"
    return Outline(settings, None if log_dir is None else log_dir.expanduser().resolve())


def _run_service(outline: Outline) -> None:
    """From nothing to ready, then until somebody wants it to end."""
    begun = time.monotonic()
    steps = Steps(Console(highlight=False))
    steps.say(f"emserve {__version__}", style="bold")
    settings = outline.settings
    with contextlib.ExitStack() as stack:
        if settings.redis is not None:
            stack.enter_context(FolderLock(settings.data_dir, shared=True))
        listener = stack.enter_context(listen(settings.host, settings.port))
        bound = settings.model_copy(update={"port": listener.getsockname()[1]})
        signals = stack.enter_context(Signals())
        house = stack.enter_context(Household(Outline(bound, outline.log_dir), steps, signals))
        started = _start(house, bound, listener, steps)
        if started is None:
            return
        url, devices = started
        seconds = time.monotonic() - begun
        ready = Readiness(bound, url, seconds, outline.log_dir, devices, house.threads)
        steps.show(welcome(ready))
        for line in to_try(ready):
            steps.say(line, style="bold")
        _stay(house, bound.data_dir, url)


def _start(
    house: Household, settings: Settings, listener: socket.socket, steps: Steps
) -> tuple[str, list[str]] | None:
    """Starts broker, API and workers; the address and the devices, or None where somebody wants it to end
    before all are there."""
    _open_broker(house, settings, steps)
    if house.must_end():
        return None
    _move_in(house, settings, steps)
    if house.must_end():
        return None
    probe_scratch(settings.scratch_dir)
    url = _open_api(house, listener, steps)
    if house.must_end():
        return None
    devices = _open_workers(house, settings, steps) if settings.workers else []
    return None if house.must_end() else (url, devices)


def _run_workers(outline: Outline) -> None:
    steps = Steps(Console(highlight=False))
    settings = outline.settings
    with contextlib.ExitStack() as stack:
        if settings.redis is not None:
            stack.enter_context(FolderLock(settings.data_dir, shared=True))
        signals = stack.enter_context(Signals())
        house = stack.enter_context(Household(outline, steps, signals))
        client = _known_broker(settings, steps)
        _check_pairing(settings, client)
        fleet = Fleet(client)
        probe_scratch(settings.scratch_dir)
        devices = _start_workers(house, settings, steps)
        house.watch_until(lambda: _has_worker(fleet, house))
        if house.must_end():
            return
        steps.done(f"ready: {workers_text(devices, settings.workers, house.threads)}; Ctrl-C stops")
        house.is_ready = True
        house.watch_until(lambda: False)


def _open_broker(house: Household, settings: Settings, steps: Steps) -> None:
    if settings.redis is not None:
        _known_broker(settings, steps).close()
        return
    steps.begin("Starting the broker")
    version = house.start_broker()
    if version:
        steps.done(version)


def _known_broker(settings: Settings, steps: Steps) -> Redis:
    """A client of a broker that somebody else runs; BrokerUnavailable when there is none."""
    steps.begin("Looking for the broker")
    client = connect(settings.redis_url)
    try:
        version = server_version(client)
    except RedisError as error:
        raise BrokerUnavailable(_no_broker(settings, error)) from error
    steps.done(version)
    return client


def _move_in(house: Household, settings: Settings, steps: Steps) -> None:
    """Sees to it that broker and storage belong together, and that no other service works on the storage.

    What cannot be reached, the API looks at again. Raises ForeignBroker and StorageInUse."""
    url = settings.storage_url
    with (
        contextlib.suppress(BrokerUnavailable, StorageFull, StorageUnavailable),
        contextlib.closing(connect(settings.redis_url)) as client,
    ):
        store = _open_store(settings)
        Pairing(store, client, url).claim()
        tenancy = Tenancy(store, client, url)
        if not tenancy.renew():
            steps.begin("Looking whether another service works on the storage")
            if house.watch_until(tenancy.renew):
                steps.done("none does")


def _check_pairing(settings: Settings, client: Redis) -> None:
    """Raises ForeignBroker; what cannot be reached, the workers look at again."""
    with contextlib.suppress(BrokerUnavailable, StorageUnavailable):
        Pairing(_open_store(settings), client, settings.storage_url).check()


def _open_store(settings: Settings) -> ObjectStore:
    with storage_errors():
        return open_store(settings.storage_url, _STORAGE_PATIENCE_SECONDS)


def _no_broker(settings: Settings, error: RedisError) -> str:
    if settings.redis is None:
        return (
            f"No broker runs for the data folder {settings.data_dir}. Start `emserve up` there first, "
            "or give the URL of a Redis with --redis."
        )
    return f"The server that --redis (EMSERVE_REDIS) names does not answer: {error}."


def _open_api(house: Household, listener: socket.socket, steps: Steps) -> str:
    """Starts the API and waits until it takes jobs; its address."""
    steps.begin("Starting the API")
    begun = time.monotonic()
    url = url_of(listener)
    house.start_api(listener)
    if house.watch_until(Probe(url, steps).can_work):
        steps.done(f"{url}, after {time.monotonic() - begun:.1f} s")
    return url


def _open_workers(house: Household, settings: Settings, steps: Steps) -> list[str]:
    """Starts the workers and waits until one of them is warm; their devices."""
    begun = time.monotonic()
    devices = _start_workers(house, settings, steps)
    with contextlib.closing(connect(settings.redis_url)) as client:
        fleet = Fleet(client)
        if house.watch_until(lambda: _has_worker(fleet, house)):
            steps.done(f"warm after {time.monotonic() - begun:.1f} s")
    return devices


def _has_worker(fleet: Fleet, house: Household) -> bool:
    """Whether a worker that was started here is live; one of a killed service may seem so for a while."""
    try:
        return any(entry.name in house.worker_names for entry in fleet.workers())
    except BrokerUnavailable:  # for a moment; who needs it longer says so
        return False


def _start_workers(house: Household, settings: Settings, steps: Steps) -> list[str]:
    if settings.device != "cpu":
        steps.begin("Looking for devices")
    devices = house.find_devices()
    if settings.device != "cpu" and devices:
        steps.done(", ".join(devices))
    if devices:
        steps.begin(f"Warming {count(len(devices) * settings.workers, 'worker')} on {', '.join(devices)}")
        house.start_workers(devices)
    return devices


def _stay(house: Household, data_dir: Path, url: str) -> None:
    """Keeps the service running, and says in the data folder where it is."""
    house.is_ready = True
    record = _record(house, url)

    def follow() -> bool:
        """Writes the record anew when a part has another process than before."""
        nonlocal record
        if record.parts != house.process_ids:
            fresh = _record(house, url)
            with contextlib.suppress(
                OSError
            ):  # a full disk must not end the service; the next look tries again
                fresh.write(data_dir)
                record = fresh
        return False

    try:
        record.write(data_dir)
        house.watch_until(follow)
    finally:
        record.remove(data_dir)


def _record(house: Household, url: str) -> RunningRecord:
    return RunningRecord(url=url, pid=os.getpid(), parts=house.process_ids)
