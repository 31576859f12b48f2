"""The parts of the service as processes: how one is started, watched, stopped, and ends with its parent."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Self

from emserve import leash

_LOG_BYTES = 16 * 1024**2  # a log longer than this is put aside when its part starts
_TAIL_BYTES = 4096
_STDERR = 2


class Lifeline:
    """A pipe that every part holds the reading end of, and only this process the writing end."""

    def __init__(self) -> None:
        self.read_fd, self._write_fd = os.pipe()

    def close(self) -> None:
        os.close(self._write_fd)
        os.close(self.read_fd)


@dataclass(frozen=True)
class Part:
    """What to start."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log_dir: Path | None = None
    """Folder of `<name>.log`; without it the part writes to our stderr."""
    kept_fds: tuple[int, ...] = ()
    """Descriptors that it inherits."""

    @property
    def log(self) -> Path | None:
        return self.log_dir / f"{self.name}.log" if self.log_dir else None

    def leashed(self, lifeline: Lifeline) -> Self:
        """The same for a program that does not call `end_with_parent` itself."""
        command = (sys.executable, "-I", "-S", leash.__file__, str(lifeline.read_fd), *self.command)
        return replace(self, command=command)


class RunningPart:
    """One life of a part: a process in a session of its own, so that no Ctrl-C reaches it but ours."""

    def __init__(self, part: Part, lifeline: Lifeline) -> None:
        self.part = part
        self.started = time.monotonic()
        environment = {**part.environment, leash.LIFELINE: str(lifeline.read_fd)}
        with _output(part) as output:
            self._log_begin = output.tell() if output else 0
            self._process = subprocess.Popen(
                part.command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output or _STDERR,
                stderr=output or _STDERR,
                pass_fds=(lifeline.read_fd, *part.kept_fds),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    @property
    def ending(self) -> str:
        """How it ended, in words."""
        code = self._process.poll()
        if code is None:
            return "is running"
        if code >= 0:
            return f"ended with code {code}"
        return f"was killed by {signal.Signals(-code).name}"

    def terminate(self) -> None:
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once, with every process of its group, also when it ended before them."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self, seconds: float) -> None:
        """Asks it to end and, past `seconds`, no longer asks."""
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def last_words(self, lines: int = 8) -> str:
        """The end of what it logged in this life, or nothing when that went to stderr or cannot be read."""
        log = self.part.log
        if log is None:
            return ""
        try:
            with log.open("rb") as file:
                file.seek(max(self._log_begin, log.stat().st_size - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _output(part: Part) -> contextlib.AbstractContextManager[BinaryIO | None]:
    """The open log of `part`; None means our own stderr."""
    log = part.log
    if log is None:
        return contextlib.nullcontext()
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.is_file() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    return log.open("ab")


def end_with_parent(grace_seconds: float = 8) -> None:
    """Called by each part as it starts: SIGTERM when the process that started it is gone, however it went.

    Whatever is left of the part's own process group `grace_seconds` later is killed. Does nothing in a
    process that `emserve up` or `emserve worker` did not start.
    """
    lifeline = os.environ.pop(leash.LIFELINE, None)  # the part's own children have their own ways
    if lifeline is None:
        return
    by_kernel = leash.end_signal_from_kernel()
    if leash.parent_is_gone(int(lifeline)):
        os.kill(os.getpid(), signal.SIGTERM)
    watch = threading.Thread(
        target=_watch, args=(int(lifeline), by_kernel, grace_seconds), name="lifeline", daemon=True
    )
    watch.start()


def _watch(lifeline: int, by_kernel: bool, grace_seconds: float) -> None:
    leash.parent_is_gone(lifeline, wait_seconds=None)
    # Twice the signal would mean "at once" to a worker.
    if not by_kernel:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace_seconds)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
