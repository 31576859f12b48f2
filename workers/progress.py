"""Progress of one attempt: stages add up to a fraction of the whole, from which the end is estimated."""

import time
from dataclasses import dataclass, field
from datetime import datetime

from emserve.book import JobBook
from emserve.jobs import JobStatus, Progress, Stage
from emserve.live import LiveState

_SHARES = {
    Stage.DECODE: (0.0, 0.05),
    Stage.INFER: (0.05, 0.70),
    Stage.GROUP: (0.75, 0.15),
    Stage.WRITE: (0.90, 0.10),
}
"""Of each stage: what is done before it, and its usual share of the whole."""
_REPORT_SECONDS = 0.25
_ETA_FRACTION = 0.05  # before this much is done, an estimate would be a guess


@dataclass
class ProgressReporter:
    """Shows an attempt's progress, a few times a second at most."""

    book: JobBook
    job_id: str
    attempt: int
    started_at: datetime
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage, of the stages that are over."""
    _begun: float = field(default_factory=time.monotonic)
    _stage: Stage | None = None
    _stage_begun: float = 0.0
    _reported: float = 0.0

    def __call__(self, stage: Stage, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of `stage` are over."""
        now = time.monotonic()
        if stage is not self._stage:
            self.close()
            self._stage, self._stage_begun = stage, now
        elif now - self._reported < _REPORT_SECONDS:
            return
        self._reported = now
        self.book.report(
            self.job_id,
            LiveState(
                status=JobStatus.RUNNING,
                attempt=self.attempt,
                stage=stage,
                started_at=self.started_at,
                progress=self._progress(stage, done, total, unit, now),
            ),
        )

    def close(self) -> None:
        """Ends the current stage's clock."""
        if self._stage is not None:
            spent = time.monotonic() - self._stage_begun
            self.seconds[self._stage.value] = round(self.seconds.get(self._stage.value, 0.0) + spent, 4)
            self._stage = None

    def _progress(self, stage: Stage, done: int, total: int, unit: str, now: float) -> Progress:
        before, share = _SHARES[stage]
        fraction = min(1.0, before + share * done / max(total, 1))
        eta = None
        if fraction > _ETA_FRACTION:
            eta = round((now - self._begun) * (1 - fraction) / fraction, 1)
        return Progress(fraction=round(fraction, 4), done=done, total=total, unit=unit, eta_seconds=eta)
