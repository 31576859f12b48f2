"""The tormented service: `emserve up`, a second worker and a second API, in processes of their own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from emserve.fleet import WorkerEntry
from emserve.running import RunningRecord
from emserve.settings import Settings
from tests.running_service import environment

START_SECONDS = 120
_STOP_SECONDS = 60


class House:
    """Every process of the service under test, in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.settings = Settings(data_dir=self.data_dir)
        self.port, self.second_port = _free_port(), _free_port()
        self._variables = environment(
            EMSERVE_DATA_DIR=str(self.data_dir),
            EMSERVE_DEVICE="cpu",
            EMSERVE_THREADS="1",
            EMSERVE_WARM_MODELS='["mitonet"]',
            EMSERVE_SWEEP_SECONDS="5",
            EMSERVE_SHUTDOWN_SECONDS="5",
            EMSERVE_DECODE_MEMORY_BYTES=str(1 << 30),
            EMSERVE_DECODE_SECONDS="20",
            TMPDIR=str(self.temporary),
        )
        self._up: subprocess.Popen[bytes] | None = None
        self._hand: subprocess.Popen[bytes] | None = None
        self._second_api: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def second_url(self) -> str:
        return f"http://127.0.0.1:{self.second_port}"

    def open(self) -> None:
        """Starts what is not running; returns when jobs are taken and a worker is there."""
        if self._up is None or self._up.poll() is not None:
            self._up = self._start("up", "emserve.cli", "up", "--port", str(self.port))
            self._await(self._is_up, "emserve up")
        self.open_second()

    def open_second(self) -> None:
        """Starts the second worker and the second API if they are not running."""
        if self._hand is None or self._hand.poll() is not None:
            self._hand = self._start("hand", "emserve.cli", "worker")
        if self._second_api is None or self._second_api.poll() is not None:
            self._second_api = self._start("second-api", "service", EMSERVE_PORT=str(self.second_port))
            self._await(lambda: _answers(self.second_url), "the second API")

    def close(self) -> None:
        """Ctrl-C for everything; what is left after a minute is for the audit."""
        for process in (self._second_api, self._hand, self._up):
            _interrupt(process)

    def part(self, name: str) -> psutil.Process | None:
        """The process of a part of `emserve up`, such as "api", as it is now; None while it is dead."""
        record = RunningRecord.read(self.data_dir)
        with contextlib.suppress(psutil.Error):
            return psutil.Process(record.parts[name]) if record else None
        return None

    def kill_up(self) -> None:
        _kill(self._up)

    def kill_hand(self) -> None:
        """Of `emserve worker`."""
        _kill(self._hand)

    def kill_second_api(self) -> None:
        _kill(self._second_api)

    def kill_all(self) -> None:
        for process in self.running():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for own in (self._up, self._hand, self._second_api):
            _kill(own)

    def stop_up(self) -> None:
        """Ctrl-C for `emserve up`."""
        _interrupt(self._up)

    def supervisors(self) -> list[psutil.Process]:
        """Those that have a job first."""
        return sorted(self.running("workers.main"), key=self._is_idle)

    def children(self) -> list[psutil.Process]:
        """The warm children, in the order of their supervisors."""
        return [child for each in self.supervisors() for child in _children(each, "workers.child")]

    def _is_idle(self, supervisor: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error, RedisError), contextlib.closing(self.broker()) as redis:
            names = {redis.get(key) or b"" for key in redis.keys("emserve:worker:*")}
            busy = [WorkerEntry.model_validate_json(each).name for each in names if b'"job_id":"' in each]
            return not any(name in supervisor.cmdline() for name in busy)
        return True

    def broker(self) -> Redis:
        """A client that does not wait for a broker that hangs."""
        return Redis.from_url(self.settings.redis_url, socket_timeout=1, retry=Retry(NoBackoff(), 0))

    def image_processes(self) -> list[psutil.Process]:
        return self.running("workers.images")

    def running(self, module: str = "") -> list[psutil.Process]:
        """Every process that works in our folder and, if given, runs `module`."""
        return [each for each in psutil.process_iter() if self._is_ours(each, module)]

    def _is_ours(self, process: psutil.Process, module: str) -> bool:
        with contextlib.suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return False
            if process.environ().get("TMPDIR") != str(self.temporary):
                return False
            return not module or module in process.cmdline()
        return False

    def _start(self, name: str, module: str, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *words],
                env={**self._variables, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _is_up(self) -> bool:
        record = RunningRecord.read(self.data_dir)
        return record is not None and self._up is not None and record.pid == self._up.pid

    def _await(self, is_there: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_there():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not start; its log is in {self.folder}")
            time.sleep(0.05)


def _kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None:
        process.kill()
        process.wait()


def _interrupt(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)


def _children(process: psutil.Process, module: str) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [each for each in process.children() if module in each.cmdline()]
    return []


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/livez", timeout=5, trust_env=False).status_code == 200
    return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
