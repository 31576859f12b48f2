"""Steps: how far a stage is, in slices."""

from emserve.jobs import Stage
from workers.inference.pipeline import OnProgress


class Steps:
    """Counts the slices of one stage and tells of each."""

    def __init__(self, on_progress: OnProgress, stage: Stage, total: int) -> None:
        self._on_progress, self._stage, self._total = on_progress, stage, total
        self._done = 0
        self.add(0)

    def add(self, slices: int = 1) -> None:
        self._done += slices
        self._on_progress(self._stage, self._done, self._total, "slices")
