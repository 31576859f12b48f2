"""The processes that read image files and render results: started, limited, replaced."""

import os
import queue
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from signal import SIGXCPU, Signals
from typing import overload

import psutil

from emserve.errors import EmserveError, HelperDied, ServiceStopping, StorageUnavailable, UnreadableImage
from emserve.imaging import (
    ANSWER,
    Copied,
    CopySlices,
    Crashed,
    Decode,
    Decoded,
    Done,
    Exhausted,
    Inspect,
    Ready,
    Refused,
    RenderedFile,
    Rendering,
    Request,
    Result,
)
from emserve.jobs import ImageHeader
from emserve.logs import traces

_STARTS = 3  # of processes that die before they are ready, how many are tried
START_SECONDS = 60.0
_BUSY = 0.2  # of the time that a request may take; who computes for less than this was waiting


class _Ended(Exception):
    """The process will not answer; `str` completes "the process …"."""


class _TooLate(_Ended):
    """It did not answer in time."""


class _Waited(_TooLate):
    """And it has hardly computed meanwhile: it waited for the storage."""


class _ImagingProcess:
    """One `python -m workers.images`."""

    def __init__(self, memory_bytes: int, cpu_seconds: int) -> None:
        self._limits = f"{memory_bytes} bytes of memory", f"{cpu_seconds} s of computing"
        command = [sys.executable, "-m", "workers.images"]
        command += ["--memory-bytes", str(memory_bytes), "--cpu-seconds", str(cpu_seconds)]
        # A heap for each thread would eat the address space that the limit counts.
        environment = {**os.environ, "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the parent, which ends this process in its own time
        )
        self._rest = b""
        try:
            self._receive(START_SECONDS)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: Request, timeout_s: float) -> Done | Refused | Crashed:
        """The answer to `request`. Raises _Ended when there will be none."""
        if self._process.stdin is None:
            raise _Ended("has no standard input")
        try:
            traced = request.model_copy(update={"traces": traces()})
            computed = self._computed_seconds()
            self._process.stdin.write(traced.model_dump_json().encode() + b"\n")
        except OSError:
            raise _Ended(self._describe_end()) from None
        try:
            answer = self._receive(timeout_s)
        except _TooLate as error:
            if self._computed_seconds() - computed < timeout_s * _BUSY:
                raise _Waited(str(error)) from None
            raise
        if isinstance(answer, Exhausted):
            raise _Ended(f"needed more than {self._limits[0]}")
        if isinstance(answer, Ready):
            raise _Ended("spoke out of turn")
        return answer

    def _receive(self, timeout_s: float) -> Ready | Done | Refused | Exhausted | Crashed:
        if self._process.stdout is None:
            raise _Ended("has no standard output")
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise _TooLate(f"needed more than {timeout_s:g} s")
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise _Ended(self._describe_end())
                self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return ANSWER.validate_json(line)

    def _computed_seconds(self) -> float:
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return 0.0
        return float(times.user + times.system)

    def _describe_end(self) -> str:
        code = self._process.wait()
        if code == -SIGXCPU:
            return f"needed more than {self._limits[1]}"
        return f"crashed ({Signals(-code).name})" if code < 0 else f"ended with exit status {code}"

    def end(self) -> None:
        """Ends the process; its pipes stay open for whoever reads from them."""
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """Ends the process and forgets it."""
        self.end()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


def _unnoticed(_doing: str) -> None:
    """Nobody wants to hear of a death."""


class ImagingPool:
    """Up to `size` processes that read image files and render results, each within limits of memory
    (address space, in bytes) and of CPU time for a request. Its methods block; any thread may call.

    A process starts when it is first needed, and again after its death."""

    def __init__(
        self,
        size: int,
        memory_bytes: int,
        cpu_seconds: int,
        on_death: Callable[[str], None] = _unnoticed,
    ) -> None:
        """`on_death` hears of each process that died, and what it was doing: the kind of its request."""
        self._on_death = on_death
        self._memory_bytes = memory_bytes
        self._cpu_seconds = cpu_seconds
        self._slots = threading.BoundedSemaphore(size)
        self._idle: queue.LifoQueue[_ImagingProcess] = queue.LifoQueue()
        self._processes: set[_ImagingProcess] = set()
        self._lock = threading.Lock()
        self._closed = False
        # Linux ends a process with the *thread* that started it; this one lives as long as the pool.
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="imaging-starter")

    @property
    def process_ids(self) -> list[int]:
        """The processes that run now."""
        with self._lock:
            return sorted(each.pid for each in self._processes if each.is_alive)

    @overload
    def call(self, request: Inspect, timeout_s: float) -> ImageHeader: ...
    @overload
    def call(self, request: Decode, timeout_s: float) -> Decoded: ...
    @overload
    def call(self, request: CopySlices, timeout_s: float) -> Copied: ...
    @overload
    def call(self, request: Rendering, timeout_s: float) -> RenderedFile: ...
    def call(self, request: Request, timeout_s: float) -> Result:
        """Carries out `request`; the time starts once a process is free.

        Raises whatever the process raised on purpose; UnreadableImage when reading the user's file took
        too much or killed the process; HelperDied when rendering did; StorageUnavailable when it waited;
        ServiceStopping when the pool was closed."""
        with self._slots:
            process = self._take()
            try:
                answer = process.ask(request, timeout_s)
            except BaseException as error:
                self._drop(process)
                if isinstance(error, _Ended):
                    self._mourn(request.kind)
                    raise self._blame(request, error) from None
                raise
            self._give_back(process)
        if isinstance(answer, Done):
            return answer.result
        raise HelperDied(_CRASHED) if isinstance(answer, Crashed) else answer.error()

    def close(self) -> None:
        """Ends every process; a request under way fails."""
        with self._lock:
            self._closed = True
            processes, self._processes = self._processes, set()
        for each in processes:
            each.end()  # whoever waits for an answer sees the end and cleans up
        while not self._idle.empty():
            with suppress(queue.Empty):
                self._idle.get_nowait().kill()
        self._starter.shutdown()

    def _take(self) -> _ImagingProcess:
        while True:
            try:
                process = self._idle.get_nowait()
            except queue.Empty:
                return self._start()
            if process.is_alive:
                return process
            self._drop(process)
            self._mourn("rest")

    def _mourn(self, doing: str) -> None:
        if not self._closed:
            self._on_death(doing)

    def _start(self) -> _ImagingProcess:
        process = self._started()
        with self._lock:
            if not self._closed:
                self._processes.add(process)
                return process
        process.kill()
        raise ServiceStopping

    def _started(self) -> _ImagingProcess:
        """A process that is ready. One that dies on its way is nobody's fault, so others are tried."""
        reason = ""
        for _ in range(_STARTS):
            try:
                return self._starter.submit(_ImagingProcess, self._memory_bytes, self._cpu_seconds).result()
            except _Ended as error:
                reason = str(error)
                self._mourn("rest")
            except (RuntimeError, OSError) as error:  # RuntimeError: the starter is shut down
                if self._closed:
                    raise ServiceStopping from None
                reason = str(error)
                break
        raise HelperDied(f"A process that reads and renders images did not start: {reason}.")

    def _give_back(self, process: _ImagingProcess) -> None:
        if process.is_alive:
            self._idle.put(process)
        else:
            self._drop(process)

    def _drop(self, process: _ImagingProcess) -> None:
        with self._lock:
            self._processes.discard(process)
        process.kill()

    def _blame(self, request: Request, reason: _Ended) -> EmserveError:
        if self._closed:
            return ServiceStopping()
        if isinstance(reason, _Waited):
            return StorageUnavailable(
                f"A process that reads and renders images {reason} and hardly computed meanwhile: the "
                "storage does not answer, or the machine is busy. Try again."
            )
        if isinstance(request, Rendering):
            return HelperDied(
                f"The process that renders results {reason}. Try again, or take another format."
            )
        return UnreadableImage(
            f"The process that reads the image {reason}. The file is damaged, or needs more than this server "
            "allows, as large JPEGs and TIFFs of a single compressed strip do: save it again as a TIFF with "
            "tiles or without compression, or ask the operator to raise EMSERVE_DECODE_MEMORY_BYTES or "
            "EMSERVE_DECODE_SECONDS."
        )


_CRASHED = (
    "A process that reads and renders images met an error that it does not know; the server's log has it."
)
