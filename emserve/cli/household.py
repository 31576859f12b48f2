"""The parts of one `emserve up` or `emserve worker`: started in order, watched, stopped in order."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from emserve.broker import EmbeddedBroker
from emserve.cli.signals import Signals
from emserve.cli.steps import Steps
from emserve.errors import EmserveError
from emserve.extras import how_to_install
from emserve.parts import Lifeline, Part, RunningPart
from emserve.settings import Settings
from emserve.supervisor import Death, Keeper, stop_all

_LOOK_SECONDS = 0.2
_DEATHS_AT_START = 3  # a part that dies this often before the service was ready will not get better
_API_SECONDS = 10  # uvicorn gives open requests half of that
_MARGIN_SECONDS = 5  # beyond shutdown_seconds, for a worker to give its job back


class StartFailed(EmserveError):
    title = "The service could not start"


@dataclass(frozen=True)
class Outline:
    """What to run, and where its logs go."""

    settings: Settings
    log_dir: Path | None
    """None: the parts log to our stderr."""


class Household:
    """Every part that this process started."""

    def __init__(self, outline: Outline, steps: Steps, signals: Signals) -> None:
        self._settings = outline.settings
        self._log_dir = outline.log_dir
        self._steps = steps
        self._signals = signals
        self._lifeline = Lifeline()
        self._broker: EmbeddedBroker | None = None
        self._keepers: dict[str, Keeper] = {}
        self.worker_names: set[str] = set()
        self.threads = 0
        """CPU threads of each worker, once they are started."""
        self.is_ready = False

    @property
    def process_ids(self) -> dict[str, int]:
        return {name: keeper.running.pid for name, keeper in self._keepers.items()}

    def must_end(self) -> bool:
        return self._signals.wishes > 0

    def start_broker(self) -> str:
        """Starts the embedded broker; its name and version, or nothing where this must end before."""
        broker = EmbeddedBroker(self._settings, self._lifeline, self._log_dir)
        self._keepers["broker"] = Keeper(broker.launch, broker.start(self.must_end))
        self._broker = broker
        return broker.version

    def start_api(self, listener: socket.socket) -> None:
        """Starts the API on a socket that stays open while it is started again."""
        command = (sys.executable, "-m", "service", "--fd", str(listener.fileno()))
        part = Part("api", command, self._settings.environment(), self._log_dir, (listener.fileno(),))
        self._keepers["api"] = Keeper(lambda: RunningPart(part, self._lifeline))

    def find_devices(self) -> list[str]:
        """The devices to use; those of the machine are found by a process that has torch.

        Raises StartFailed where the one that was asked for is not there.
        """
        wanted = self._settings.device
        if wanted == "cpu":
            return [wanted]
        finder = Part("devices", (sys.executable, "-m", "workers.devices"), self._settings.environment())
        process = subprocess.Popen(
            finder.leashed(self._lifeline).command,
            env=finder.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(self._lifeline.read_fd,),
            start_new_session=True,
        )
        if not self.watch_until(lambda: process.poll() is not None):
            process.kill()
        output, complaint = process.communicate()
        if process.returncode == -signal.SIGKILL and self.must_end():
            return []
        if process.returncode != 0:
            raise StartFailed(_no_devices(complaint.decode(errors="replace")))
        found = [str(name) for name in json.loads(output)]
        if wanted == "auto":
            return found
        if wanted not in found:
            raise StartFailed(_no_such_device(wanted, found))
        return [wanted]

    def start_workers(self, devices: list[str]) -> None:
        """Starts the workers of each device; the cores are divided among them."""
        count = len(devices) * self._settings.workers
        self.threads = self._settings.threads or max(1, _cores() // count)
        environment = {
            **self._settings.environment(),
            # A spinning thread that lost its core holds up every small operation of the others.
            "OMP_WAIT_POLICY": "PASSIVE",
            "OMP_NUM_THREADS": str(self.threads),
            # torch takes the memory of a network's maps anew for each image: thousands of small pages to map.
            "THP_MEM_ALLOC_ENABLE": "1",
        }
        for device in devices:
            for number in range(1, self._settings.workers + 1):
                self._start_worker(device, number, environment)

    def _start_worker(self, device: str, number: int, environment: dict[str, str]) -> None:
        place = f"{device.replace(':', '-')}-{number}"

        def launch() -> RunningPart:
            # A name of its own for each life: the last one's may still be held in the queue.
            name = f"{socket.gethostname()}-{place}-{secrets.token_hex(4)}"
            self.worker_names.add(name)
            command = (sys.executable, "-m", "workers.main", "--device", device, "--name", name)
            part = Part(f"worker-{place}", command, environment, self._log_dir)
            return RunningPart(part, self._lifeline)

        self._keepers[f"worker-{place}"] = Keeper(launch)

    def watch_until(self, done: Callable[[], bool]) -> bool:
        """Keeps the parts running until `done`; False when asked to end before."""
        while not self.must_end():
            self._look()
            if done():
                return True
            self._signals.wait(_LOOK_SECONDS)
        return False

    def _look(self) -> None:
        for keeper in self._keepers.values():
            death = keeper.look()
            if death is None:
                continue
            if not self.is_ready and death.count >= _DEATHS_AT_START:
                raise StartFailed(_hopeless(death))
            self._steps.say(
                f"{time.strftime('%H:%M:%S')} {death.name} {death.ending}; "
                f"it starts again in {death.pause_seconds:g} s",
                style="yellow",
            )

    def stop(self) -> None:
        """Workers first, so that they can give their jobs back; then the API; the broker last."""
        if any(name.startswith("worker-") for name in self._keepers):
            seconds = self._settings.shutdown_seconds
            self._steps.say(
                f"Jobs that run get {seconds:g} s to end, or wait for the next start; Ctrl-C again hurries."
            )
        self._stop("the workers", "worker-", self._settings.shutdown_seconds + _MARGIN_SECONDS)
        self._stop("the API", "api", _API_SECONDS)
        if self._broker is not None:
            self._steps.begin("Stopping the broker")
            if self._hurry():
                self._keepers["broker"].running.kill()
            self._broker.stop()
            self._steps.done("done")
        self._lifeline.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _stop(self, what: str, prefix: str, seconds: float) -> None:
        keepers = [keeper for name, keeper in self._keepers.items() if name.startswith(prefix)]
        if not keepers:
            return
        self._steps.begin(f"Stopping {what}")
        stop_all(keepers, seconds, self._signals.wait, self._hurry)
        self._steps.done("done")

    def _hurry(self) -> bool:
        return self._signals.wishes > 1


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _hopeless(death: Death) -> str:
    text = f"{death.name} {death.ending}, {death.count} times in a row."
    return (
        f"{text} The end of its log:\n{death.last_words}" if death.last_words else f"{text} Its log is above."
    )


def _no_such_device(wanted: str, found: list[str]) -> str:
    gpus = [name for name in found if name != "cpu"]
    there = f"torch finds {', '.join(gpus)}" if gpus else "torch finds no CUDA device"
    return (
        f"The device {wanted} (--device, EMSERVE_DEVICE) is not on this machine: {there}. "
        f"Give {' or '.join([*gpus, 'cpu'])}, or auto, which takes what there is."
    )


def _no_devices(complaint: str) -> str:
    reason = (complaint.strip().splitlines() or ["no reason given"])[-1]
    return (
        f"No device for workers was found ({reason}). If a package is missing, "
        f"{how_to_install('worker')} brings it; --api-only runs the API alone."
    )
