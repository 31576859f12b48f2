"""A real service for tests: `emserve up` in processes of its own, on a free port, in a fresh folder."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from emserve.running import RunningRecord

_START_SECONDS = 120
_STOP_SECONDS = 45


@dataclass
class RunningService:
    """One `emserve up`."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    log: Path
    record: RunningRecord

    @property
    def url(self) -> str:
        return self.record.url

    def part(self, name: str) -> psutil.Process:
        """The process of a part, such as "api" or "worker-cpu-1", as it is now."""
        record = RunningRecord.read(self.data_dir)
        if record is None:
            raise RuntimeError("the service is not running")
        return psutil.Process(record.parts[name])

    def child(self, name: str = "worker-cpu-1") -> psutil.Process:
        """The warm child of a worker."""
        children = [each for each in self.part(name).children() if "workers.child" in each.cmdline()]
        return children[0]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(_STOP_SECONDS)


@dataclass
class OtherApi:
    """An API that nobody starts again."""

    process: psutil.Process
    address: tuple[str, int]

    def client(self) -> httpx.Client:
        host, port = self.address
        return httpx.Client(base_url=f"http://{host}:{port}", timeout=30, trust_env=False)


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with no EMSERVE_ variable but those given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMSERVE_")}
    return {**kept, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", **settings}


@contextlib.contextmanager
def running_service(
    data_dir: Path, *options: str, settings: Mapping[str, str] | None = None
) -> Iterator[RunningService]:
    """`emserve up` with these options and EMSERVE_ settings, ready for jobs; stopped afterwards."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "up.log"
    command = [sys.executable, "-m", "emserve.cli", "up", "--port", "0", "--data-dir", str(data_dir)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *options],
            env=environment(**{"EMSERVE_DEVICE": "cpu", "EMSERVE_THREADS": "1", **(settings or {})}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield RunningService(process, data_dir, log, _await_ready(process, data_dir, log))
    finally:
        _end(process)


@contextlib.contextmanager
def another_api(service: RunningService, prelude: str = "", **settings: str) -> Iterator[OtherApi]:
    """A second API beside that of the service, with EMSERVE_ settings of its own. `prelude` is Python that
    runs in its process before it starts."""
    program = f"{prelude}\nfrom service.__main__ import main\nmain()"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "--fd", str(listener.fileno())],
            env=environment(EMSERVE_DATA_DIR=str(service.data_dir), **settings),
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
        address = ("127.0.0.1", listener.getsockname()[1])
    try:
        yield OtherApi(psutil.Process(process.pid), address)
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _await_ready(process: subprocess.Popen[bytes], data_dir: Path, log: Path) -> RunningRecord:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        record = RunningRecord.read(data_dir)
        if record is not None and record.pid == process.pid:
            return record
        time.sleep(0.05)
    raise RuntimeError(f"the service did not start:\n{log.read_text()[-4000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
    if process.poll() is None:
        process.kill()
        process.wait()
