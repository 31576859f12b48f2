"""The steps behind the clients' methods, without a server."""

import pytest

from emserve.client.answer import Answer, Broken
from emserve.client.call import Call, Pause
from emserve.client.errors import JobCancelled, JobFailed, ServiceUnreachable, WaitTimedOut
from emserve.client.stories import Patience, Story, ValueT, await_end, read_job, require_success
from emserve.jobs import Job, JobStatus
from tests.unit.client.far_side import make_job


class Clock:
    """Time that passes only in pauses and while something is asked."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def tell(story: Story[ValueT], outcomes: list[Answer | Broken], clock: Clock) -> tuple[ValueT, list[Call]]:
    """Carries a story out; each call takes as long as it offers to wait. Its value and its calls."""
    calls: list[Call] = []
    step: Call | Pause = next(story)
    while True:
        try:
            if isinstance(step, Pause):
                clock.now += step.seconds
                step = story.send(None)
            else:
                calls.append(step)
                clock.now += step.patience_seconds
                step = story.send(outcomes.pop(0))
        except StopIteration as end:
            value: ValueT = end.value
            return value, calls


def answer(status: JobStatus) -> Answer:
    return Answer("http://x", 200, {}, make_job(status).model_dump_json().encode())


def test_waiting_long_polls_until_the_end() -> None:
    clock = Clock()
    outcomes: list[Answer | Broken] = [answer(JobStatus.QUEUED), answer(JobStatus.SUCCEEDED)]
    job, calls = tell(await_end("a", Patience(clock=clock)), outcomes, clock)
    assert job.status is JobStatus.SUCCEEDED
    assert [call.headers for call in calls] == [{"Prefer": "wait=60"}] * 2


def test_waiting_with_progress_looks_four_times_a_second() -> None:
    clock = Clock()
    seen: list[Job] = []
    outcomes: list[Answer | Broken] = [*[answer(JobStatus.RUNNING)] * 4, answer(JobStatus.FAILED)]
    job, calls = tell(await_end("a", Patience(None, seen.append, clock)), outcomes, clock)
    assert job.status is JobStatus.FAILED
    assert clock.now == pytest.approx(101.0)
    assert len(seen) == 5
    assert not any("Prefer" in call.headers for call in calls)


def test_waiting_ends_in_time_and_says_that_the_job_goes_on() -> None:
    clock = Clock()
    outcomes: list[Answer | Broken] = [answer(JobStatus.RUNNING)] * 9
    with pytest.raises(WaitTimedOut, match=r"still running after 90 s.*emserve cancel 0199-a"):
        tell(await_end("a", Patience(90, clock=clock)), outcomes, clock)
    assert clock.now <= 191


def test_what_is_asked_again_fits_into_the_time_that_is_left() -> None:
    clock = Clock()
    silent = Broken("http://x", "silent", may_repeat=True)
    outcomes: list[Answer | Broken] = [silent, silent, answer(JobStatus.SUCCEEDED)]
    _, calls = tell(await_end("a", Patience(90, clock=clock)), outcomes, clock)
    assert [call.headers["Prefer"] for call in calls] == ["wait=60", "wait=29", "wait=0"]
    with pytest.raises(ServiceUnreachable, match="silent"):
        tell(await_end("a", Patience(90, clock=clock)), [silent] * 9, clock)
    assert clock.now <= 281


def test_a_lost_connection_is_tried_again() -> None:
    lost = Broken("http://x", "Connection reset", may_repeat=True)
    job, calls = tell(read_job("a"), [lost, lost, answer(JobStatus.QUEUED)], Clock())
    assert job.status is JobStatus.QUEUED
    assert len(calls) == 3


def test_a_service_that_stays_away_is_named_with_the_remedy() -> None:
    lost = Broken("http://x", "Connection refused", may_repeat=True)
    with pytest.raises(ServiceUnreachable, match=r"http://x .*refused.*emserve up.*make run.*--url"):
        tell(read_job("a"), [lost] * 9, Clock())


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    _, calls = tell(read_job("../x?y"), [answer(JobStatus.QUEUED)], Clock())
    assert calls[0].path == "/v1/jobs/..%2Fx%3Fy"


def test_only_success_is_success() -> None:
    require_success(make_job())
    with pytest.raises(JobFailed, match="The TIFF ends after 12 bytes") as failed:
        require_success(make_job(JobStatus.FAILED))
    assert failed.value.problem.status == 422
    with pytest.raises(JobCancelled, match="0199-a"):
        require_success(make_job(JobStatus.CANCELLED))
