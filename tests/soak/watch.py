"""Looks at /livez ten times a second, and at the memory of what must not grow."""

import contextlib
import threading
import time
from dataclasses import dataclass, field
from typing import Self

import httpx
import psutil

from tests.soak.house import House

WEIGHED = ("api", "worker-cpu-1")
_PAUSE_SECONDS = 0.1
_PATIENCE_SECONDS = 10


@dataclass
class Watch:
    """A thread that notes how long /livez did not answer, and resident sizes in bytes over time."""

    house: House
    silence_seconds: float = 0.0
    """The longest time without an answer since it was last set to 0."""
    resident: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    peak_bytes: dict[str, int] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        answered = time.monotonic()
        with httpx.Client(base_url=self.house.url, timeout=_PATIENCE_SECONDS, trust_env=False) as client:
            while not self._over.wait(_PAUSE_SECONDS):
                with contextlib.suppress(httpx.TransportError):
                    client.get("/livez").raise_for_status()
                    now = time.monotonic()
                    self.silence_seconds = max(self.silence_seconds, now - answered)
                    answered = now
                self._weigh()

    def _weigh(self) -> None:
        for name in WEIGHED:
            process = self.house.part(name)
            with contextlib.suppress(psutil.Error):
                if process is not None:
                    size = int(process.memory_info().rss)
                    self.resident.setdefault(f"{name} {process.pid}", []).append((time.monotonic(), size))
                    self.peak_bytes[name] = max(self.peak_bytes.get(name, 0), size)

    def process_ids(self) -> dict[str, int | None]:
        """Of each process that must not grow; None while it is dead."""
        parts = {name: self.house.part(name) for name in WEIGHED}
        return {name: None if part is None else part.pid for name, part in parts.items()}

    def growth(self, since: float) -> dict[str, tuple[int, int]]:
        """Of each process that lives: its median size in the first and the last fifth of the time since."""
        found = {}
        for name, pid in self.process_ids().items():
            sizes = [size for at, size in self.resident.get(f"{name} {pid}", []) if at >= since]
            fifth = max(1, len(sizes) // 5)
            if sizes:
                found[name] = (_median(sizes[:fifth]), _median(sizes[-fifth:]))
        return found


def _median(sizes: list[int]) -> int:
    return sorted(sizes)[len(sizes) // 2]
