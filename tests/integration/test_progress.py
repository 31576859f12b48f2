"""What a running volume says of the time that is left."""

from datetime import UTC, datetime

import pytest

from emserve.book import JobBook
from emserve.jobs import JobStatus, Stage
from emserve.live import LiveState
from tests.integration.workshop import record_of
from workers.progress import ProgressReporter

_SLICE_SECONDS = 20.0


class Clock:
    """In place of the module `time`: it goes when it is told, so that no other load of the machine counts."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_what_an_earlier_attempt_has_left_does_not_make_the_rest_look_short(
    book: JobBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("workers.progress.time", clock)
    record = record_of((20, 64, 64))
    book.live.add(record, LiveState(status=JobStatus.RUNNING))
    report = ProgressReporter(book, record, 2, datetime.now(UTC))
    report(Stage.DECODE, 0, 20, "slices")
    report(Stage.INFER, 0, 20, "slices")
    for done in range(10, 15):
        report(Stage.INFER, done, 20, "slices")
        clock.now += _SLICE_SECONDS
    report(Stage.INFER, 15, 20, "slices")

    state = book.live.state(record.id)
    assert state is not None
    assert state.progress is not None
    assert (state.progress.done, state.progress.total, state.progress.unit) == (15, 20, "slices")
    left = 5 * _SLICE_SECONDS  # of this stage; the stages that follow take about a sixth of it more each
    assert state.progress.eta_seconds == pytest.approx(1.5 * left, rel=0.5)
