"""The time-out of a volume bounds a step of it, not the whole."""

import numpy as np

from emserve.params import Parameters
from tests.integration.workshop import Workshop
from training.phantoms import make_volume_phantom

_LIMIT_SECONDS = 6  # a busy machine needs a second or two from one slice to the next


def test_a_volume_may_take_longer_than_the_time_out_as_long_as_its_slices_do_not(workshop: Workshop) -> None:
    small = make_volume_phantom(4, (6, 256, 256), (25.0, 10.0, 10.0)).image
    volume = np.tile(np.concatenate([small, small[::-1]] * 6), (1, 4, 4))
    params = Parameters(mode="stack", downsampling=4, min_size=100, min_extent=1, median_slices=1)
    with workshop.worker(EMSERVE_JOB_TIMEOUT_SECONDS=str(_LIMIT_SECONDS)) as worker:
        job = workshop.succeeded(workshop.submit(volume, params), 110)

        assert worker.running.is_alive
        assert job.started_at is not None
        assert job.finished_at is not None
        assert (job.finished_at - job.started_at).total_seconds() > _LIMIT_SECONDS
