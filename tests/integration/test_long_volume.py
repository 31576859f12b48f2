"""The time-out of a volume bounds a step of it, not the whole."""

import time

import numpy as np

from emserve.params import Parameters
from tests.integration.workshop import Workshop, eventually
from tests.pictures import large_image

_LIMIT_SECONDS = 10
_HELD_SECONDS = 5.5  # twice that is too long; once leaves a busy machine time for the steps beside
_SLICES = 40  # two reports of progress, a quarter of a second apart, come before each of the two halts


def test_a_volume_may_take_longer_than_the_time_out_as_long_as_its_slices_do_not(vacant: Workshop) -> None:
    volume = np.stack([large_image(256)] * _SLICES)
    params = Parameters(mode="stack", min_size=100, min_extent=1, median_slices=1)
    with vacant.worker(EMSERVE_JOB_TIMEOUT_SECONDS=str(_LIMIT_SECONDS)) as worker:
        job_id = vacant.submit(volume, params)
        seen = 0
        for _ in range(2):
            for _ in range(2):  # at the second the supervisor has long been told of the first
                seen = _slices_after(vacant, job_id, seen)
            worker.child.suspend()
            time.sleep(_HELD_SECONDS)
            worker.child.resume()
        job = vacant.succeeded(job_id)

        assert worker.running.is_alive
        assert job.started_at is not None
        assert job.finished_at is not None
        assert (job.finished_at - job.started_at).total_seconds() > _LIMIT_SECONDS


def _slices_after(workshop: Workshop, job_id: str, seen: int) -> int:
    """How many are inferred as soon as there are more than those seen before."""

    def look() -> int | None:
        job = workshop.book.read(job_id)
        assert not job.status.ended, job.error
        done = job.progress.done if job.stage == "infer" and job.progress is not None else 0
        return done if done > seen else None

    return eventually(look, f"a slice after {seen}")
