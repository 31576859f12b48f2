"""Progress of one attempt, as everybody who looks at the job sees it."""

import time
from dataclasses import dataclass, field
from datetime import datetime

from emserve.book import JobBook
from emserve.jobs import JobRecord, JobStatus, Progress, Stage
from emserve.live import LiveState
from workers.forecast import Forecast

_REPORT_SECONDS = 0.25


@dataclass
class ProgressReporter:
    """Shows an attempt's progress, a few times a second at most."""

    book: JobBook
    record: JobRecord
    attempt: int
    started_at: datetime
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage, of the stages that are over."""
    _stage: Stage | None = None
    _stage_begun: float = 0.0
    _reported: float = 0.0

    def __post_init__(self) -> None:
        self._forecast = Forecast.of(time.monotonic(), self.record)

    def __call__(self, stage: Stage, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of `stage` are over."""
        now = time.monotonic()
        if stage is not self._stage:
            self.close()
            self._stage, self._stage_begun = stage, now
        elif now - self._reported < _REPORT_SECONDS:
            return
        self._reported = now
        fraction, eta_seconds = self._forecast.see(stage, done, total, now)
        self.book.report(
            self.record.id,
            LiveState(
                status=JobStatus.RUNNING,
                attempt=self.attempt,
                stage=stage,
                started_at=self.started_at,
                progress=Progress(
                    fraction=round(fraction, 4),
                    done=done,
                    total=total,
                    unit=unit,
                    eta_seconds=None if eta_seconds is None else round(eta_seconds, 1),
                ),
            ),
        )

    def close(self) -> None:
        """Ends the current stage's clock."""
        if self._stage is not None:
            spent = time.monotonic() - self._stage_begun
            self.seconds[self._stage.value] = round(self.seconds.get(self._stage.value, 0.0) + spent, 4)
            self._stage = None
