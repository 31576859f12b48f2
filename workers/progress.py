"""Progress of one attempt: stages add up to a fraction of the whole, from which the end is estimated."""

import time
from dataclasses import dataclass, field
from datetime import datetime

from emserve.book import JobBook
from emserve.jobs import JobRecord, JobStatus, Progress, Stage
from emserve.live import LiveState

_IMAGE_SHARES = {
    Stage.DECODE: (0.0, 0.05),
    Stage.INFER: (0.05, 0.70),
    Stage.GROUP: (0.75, 0.15),
    Stage.WRITE: (0.90, 0.10),
}
"""Of each stage: what is done before it, and its usual share of the whole."""
_VOLUME_SHARES = {
    Stage.DECODE: (0.0, 0.02),
    Stage.INFER: (0.02, 0.85),
    Stage.GROUP: (0.87, 0.06),
    Stage.TRACK: (0.93, 0.04),
    Stage.WRITE: (0.97, 0.03),
}
_REPORT_SECONDS = 0.25
_MOST_SEEN = 512
_ETA_FRACTION = 0.05  # before this much is done, an estimate would be a guess


@dataclass
class ProgressReporter:
    """Shows an attempt's progress, a few times a second at most."""

    book: JobBook
    record: JobRecord
    attempt: int
    started_at: datetime
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall-clock seconds by stage, of the stages that are over."""
    _begun: float = field(default_factory=time.monotonic)
    _stage: Stage | None = None
    _stage_begun: float = 0.0
    _seen: list[tuple[float, float]] = field(default_factory=list)
    """When the stage was reported, and how much of the whole was done then."""
    _reported: float = 0.0

    def __call__(self, stage: Stage, done: int, total: int, unit: str) -> None:
        """`done` of `total` units of `stage` are over."""
        now = time.monotonic()
        if stage is not self._stage:
            self.close()
            self._stage, self._stage_begun, self._seen = stage, now, []
        elif now - self._reported < _REPORT_SECONDS:
            return
        self._reported = now
        self.book.report(
            self.record.id,
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
        before, share = (_VOLUME_SHARES if self.record.input.is_volume else _IMAGE_SHARES)[stage]
        fraction = min(1.0, before + share * done / max(total, 1))
        self._seen.append((now, fraction))
        if len(self._seen) > _MOST_SEEN:
            del self._seen[::2]
        return Progress(
            fraction=round(fraction, 4),
            done=done,
            total=total,
            unit=unit,
            eta_seconds=self._eta(fraction, now),
        )

    def _eta(self, fraction: float, now: float) -> float | None:
        """From the pace of the later half of this stage, so that neither a slow start counts nor what an
        earlier attempt has left; while the stage is young, from the pace of the whole."""
        half = self._stage_begun + (now - self._stage_begun) / 2
        then, at_half = next((seen for seen in self._seen if seen[0] >= half), (now, fraction))
        if now > then and fraction - at_half >= _ETA_FRACTION / 2:
            pace = (now - then) / (fraction - at_half)
        elif fraction > _ETA_FRACTION and self._stage is not Stage.INFER:
            pace = (now - self._begun) / fraction
        else:
            return None
        return round(pace * (1 - fraction), 1)
