"""What the service promised: every job that it accepted, and what was seen and asked of it since."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

Json = Any  # a body as any client sees it
ENDED = ("succeeded", "failed", "cancelled")


@dataclass
class Entry:
    """One accepted job."""

    image: str
    """Which of the images was sent; each always has the same result."""
    cancel_asked: bool = False
    delete_asked: bool = False
    deleted: bool = False
    """The service said that it is."""
    end: Json = None
    """The first end that was seen; it must stay."""

    @property
    def is_open(self) -> bool:
        return self.end is None and not self.delete_asked


@dataclass
class Ledger:
    """Entries by job id, and every promise that was broken."""

    entries: dict[str, Entry] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    results: dict[str, str] = field(default_factory=dict)
    """SHA-256 of the label map that each image gave when it was first seen."""
    answers: Counter[str] = field(default_factory=Counter)
    """How often what was answered, connections that broke included."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, job: Json, image: str) -> None:
        with self._lock:
            if job["id"] in self.entries:
                self.violations.append(f"{job['id']} was accepted twice")
            self.entries[job["id"]] = Entry(image)

    def see(self, job: Json) -> None:
        """Notes a job's end, which never changes."""
        if job["status"] not in ENDED:
            if job["id"] in self.entries and self.entries[job["id"]].end is not None:
                self.blame(f"{job['id']} is {job['status']} after it had ended")
            return
        entry = self.entries[job["id"]]
        end = {name: job[name] for name in ("status", "attempt", "finished_at", "result", "error")}
        if entry.end is None:
            entry.end = end
        elif entry.end != end:
            self.blame(f"{job['id']} changed its end: {entry.end} became {end}")

    def blame(self, violation: str) -> None:
        with self._lock:
            if violation not in self.violations:
                self.violations.append(violation)

    def open_ids(self) -> list[str]:
        with self._lock:
            return [job_id for job_id, entry in self.entries.items() if entry.is_open]

    def kept_ids(self) -> list[str]:
        """Of the jobs that nobody asked to delete."""
        with self._lock:
            return [job_id for job_id, entry in self.entries.items() if not entry.delete_asked]
