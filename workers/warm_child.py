"""The supervisor's handle on its child: the one long-lived process that imports torch."""

import socket
import subprocess
import sys
from multiprocessing.connection import Connection, wait
from signal import Signals

import psutil

from emserve.errors import EmserveError
from emserve.resident import Resident
from workers.messages import Assignment, Ended, FromChild, Ready, receive, send

START_SECONDS = 180.0
_END_SECONDS = 5.0  # to close what it holds; less than a lease lasts


class ChildFailed(EmserveError):
    """The child ended before it was ready."""

    slug = "worker-failed"
    title = "The worker's process did not start"


class WarmChild:
    """Starts, feeds, watches and replaces the child. Used from the supervisor's main thread only:
    on Linux the child dies with the thread that started it (PR_SET_PDEATHSIG)."""

    def __init__(self, device: str, environment: dict[str, str]) -> None:
        self._device = device
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection[bytes, bytes] | None = None
        self._ready = False
        self.residents: list[Resident] = []

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def ensure_ready(self) -> None:
        """Returns once a child waits for work; starts one when there is none. Raises ChildFailed."""
        if self._process is not None and self._process.poll() is not None:
            self.kill()
        if self._process is None:
            self._start()
        if not self._ready:
            self._await_ready()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "workers.child", str(theirs.fileno()), self._device],
                env=self._environment,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._connection = Connection(ours.detach())

    def _await_ready(self) -> None:
        message = self.poll(START_SECONDS)
        if not isinstance(message, Ready):
            reason = self.describe_end() if message is None else "it spoke out of turn"
            self.kill()
            raise ChildFailed(f"The worker's process on {self._device} did not become ready: {reason}.")
        self._ready = True
        self.residents = message.residents

    def assign(self, assignment: Assignment) -> None:
        """Gives the child its work; a child that died meanwhile shows at the next poll."""
        if self._connection is not None:
            try:
                send(self._connection, assignment)
            except OSError:
                self._connection.close()
                self._connection = None

    def poll(self, timeout: float) -> FromChild | None:
        """The child's next message, or None after `timeout` seconds or at its death."""
        if self._connection is None or not wait([self._connection], timeout):
            return None
        try:
            message = receive(self._connection)
        except (EOFError, OSError):
            self._await_end()
            return None
        if isinstance(message, Ended):
            self.residents = message.residents
        return None if isinstance(message, Assignment) else message

    def _await_end(self) -> None:
        """Of a child that has nothing more to say; one that stays is killed, or its job would wait for it."""
        if self._process is not None:
            try:
                self._process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def resident_bytes(self) -> int:
        """The child's resident memory; 0 when it is gone."""
        try:
            return int(psutil.Process(self.pid).memory_info().rss) if self.is_alive else 0
        except psutil.Error:
            return 0

    def describe_end(self) -> str:
        """How the child ended, in words."""
        code = self._process.poll() if self._process else None
        if code is None:
            return "it did not answer in time"
        return f"killed by {Signals(-code).name}" if code < 0 else f"exit status {code}"

    def kill(self) -> None:
        """Ends the child at once; the next `ensure_ready` starts another."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._connection is not None:
            self._connection.close()
        self._process, self._connection, self._ready, self.residents = None, None, False, []
