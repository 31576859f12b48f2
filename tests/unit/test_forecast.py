"""What a running job says of the time that is left."""

import pytest

from emserve.jobs import Stage
from workers.forecast import Forecast

_SLICES, _VOXELS = 100, 100 * 512 * 512


def _seen(forecast: Forecast, slice_seconds: float, first: int, last: int) -> float | None:
    """What is said to be left when slice `last` is inferred, the slices before `first` having been there."""
    forecast.see(Stage.DECODE, 0, _SLICES, 0.0)
    forecast.see(Stage.INFER, 0, _SLICES, 1.0)
    left = None
    for done in range(first, last + 1):
        _, left = forecast.see(Stage.INFER, done, _SLICES, 1.0 + slice_seconds * (done - first + 1))
    return left


@pytest.mark.parametrize("slice_seconds", [0.002, 0.2, 2.0])
def test_what_follows_inference_is_foretold_whatever_the_network_and_its_device(slice_seconds: float) -> None:
    left = _seen(Forecast.of_volume(0.0, _VOXELS, 1), slice_seconds, 1, 10)
    assert left == pytest.approx(90 * slice_seconds + 7e-8 * _VOXELS)


def test_three_stacks_are_joined_in_three_times_the_time() -> None:
    one, three = (Forecast.of_volume(0.0, _VOXELS, stacks) for stacks in (1, 3))
    assert _seen(three, 1e-9, 1, 10) == pytest.approx(3 * (_seen(one, 1e-9, 1, 10) or 0), rel=1e-3)


def test_what_an_earlier_attempt_has_left_does_not_make_the_rest_look_short() -> None:
    fresh = _seen(Forecast.of_volume(0.0, _VOXELS, 1), 0.3, 1, 70)
    assert _seen(Forecast.of_volume(0.0, _VOXELS, 1), 0.3, 50, 70) == pytest.approx(fresh)


def test_nothing_is_said_before_there_is_something_to_go_by() -> None:
    assert _seen(Forecast.of_volume(0.0, _VOXELS, 1), 0.3, 1, 2) is None


def test_of_an_image_what_follows_takes_its_share() -> None:
    left = _seen(Forecast(0.0), 0.7, 1, 50)
    assert left == pytest.approx(0.5 * 70 + 25)


def test_moments_within_a_slice_do_not_make_its_pace_look_quick() -> None:
    told = []
    for moments in (1, 8):
        forecast = Forecast.of_volume(0.0, _VOXELS, 1)
        forecast.see(Stage.INFER, 0, _SLICES, 0.0)
        for moment in range(1, 11 * moments + 1):  # half of the time is in the middle of a slice
            _, left = forecast.see(Stage.INFER, moment // moments, _SLICES, moment / moments)
        told.append(left)
    assert told[0] == told[1] == pytest.approx(89 + 7e-8 * _VOXELS)
