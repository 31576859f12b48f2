"""The bounds of a job's parameters."""

from typing import Any

import pytest
from pydantic import ValidationError

from emserve.params import Parameters


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("downsampling", [1, 2, 4, 8, 16, 32, 64, "auto"], [0, 3, 128, -1, "Auto", 1.5]),
        ("confidence_thr", [0.1, 0.5, 0.9], [0.09, 0.91, -1]),
        ("center_confidence_thr", [0.05, 0.9], [0.04, 0.91]),
        ("min_distance_object_centers", [1, 35], [0, 36, 2.5]),
        ("min_size", [0, 10**6], [-1, 0.5]),
        ("min_extent", [0, 10**6], [-1]),
        ("channel", [None, 0, 7], [-1]),
        ("time", [None, 0, 7], [-1]),
        ("axes", [None, "YX", "CYX", "YXS"], ["Y", "yx", "YXQ", "YXCSZT", ""]),
        ("pixel_size_nm", [None, [4, 4], [0.5, 16.0], [30, 4, 4]], [[4], [4, 4, 4, 4], [0, 4], [-1, 4], 4]),
        ("intensity_range", ["dtype", "percentile", [0, 4095]], ["auto", [1], [1, 2, 3], 5]),
        ("invert", [True, False], ["maybe", 2]),
        ("fine_boundaries", [True, False], ["maybe"]),
    ],
)
def test_a_parameter_is_taken_within_its_bounds_only(name: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        Parameters.model_validate({name: value})
    for value in bad:
        with pytest.raises(ValidationError):
            Parameters.model_validate({name: value})


@pytest.mark.parametrize("text", ['{"confidence_thr": NaN}', '{"confidence_thr": Infinity}'])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        Parameters.model_validate_json(text)


def test_an_unknown_parameter_is_refused() -> None:
    with pytest.raises(ValidationError, match="confidence"):
        Parameters.model_validate({"confidence": 0.5})


def test_parameters_survive_json() -> None:
    given = Parameters(downsampling="auto", intensity_range=(0, 4095), pixel_size_nm=[4, 4], axes="YX")
    assert Parameters.model_validate_json(given.model_dump_json()) == given


@pytest.mark.parametrize("name", sorted(Parameters.model_fields))
def test_a_bare_request_gets_a_default_for_each_parameter(name: str) -> None:
    assert not Parameters.model_fields[name].is_required()
