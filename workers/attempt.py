"""One attempt at a job: what every step of it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from obstore.store import ObjectStore

from emserve import storage
from emserve.cards import ModelCard
from emserve.jobs import JobRecord, JobWarning
from workers.bench import Bench
from workers.inference.measure import ObjectTable
from workers.messages import Assignment
from workers.progress import ProgressReporter


@dataclass(frozen=True)
class Attempt:
    """What an attempt works with."""

    bench: Bench
    assignment: Assignment
    record: JobRecord
    progress: ProgressReporter
    scratch: Path
    started_at: datetime
    card: ModelCard
    on_step: Callable[[], None]
    """Says that a step of a long job is over, so that its time-out begins anew."""

    @property
    def store(self) -> ObjectStore:
        return self.bench.book.store

    @property
    def job_id(self) -> str:
        return self.record.id

    @property
    def execution_id(self) -> str:
        return self.assignment.execution_id

    @property
    def labels_prefix(self) -> str:
        return storage.labels_prefix(self.job_id, self.execution_id)


@dataclass(frozen=True)
class Finding:
    """What an attempt found; the label map is in storage already."""

    objects: ObjectTable
    shape: list[int]
    axes: str
    dtype: str
    """Of the label map."""
    downsampling: int
    warnings: tuple[JobWarning, ...]
