"""What is said beside the image."""

import json

import pytest

from emserve.client.errors import InvalidParameters
from emserve.client.submission import Submission, make_parameters
from emserve.params import Parameters


def test_only_what_was_chosen_is_sent() -> None:
    chosen = make_parameters({"downsampling": 2, "intensity_range": [0, 4095]})
    query = Submission("mitonet", chosen, {"sample": "S-17"}).query("zelle ä.tif")
    assert json.loads(query["params"]) == {"downsampling": 2, "intensity_range": [0, 4095]}
    assert json.loads(query["tags"]) == {"sample": "S-17"}
    assert (query["model"], query["filename"]) == ("mitonet", "zelle ä.tif")


def test_a_default_that_was_chosen_is_sent() -> None:
    query = Submission("mitonet", Parameters(downsampling=1), {}).query("cell.tif")
    assert json.loads(query["params"]) == {"downsampling": 1}


def test_a_bare_submission_says_nothing_of_parameters() -> None:
    assert set(Submission("mitonet", make_parameters(None), {}).query("cell.tif")) == {"model", "filename"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"downsamplng": 2}, "downsamplng: there is no such parameter; there are downsampling,"),
        ({"downsampling": 3}, "downsampling: .* not 3"),
        ({"confidence_thr": 2}, "confidence_thr: .*less than or equal to 0.9, not 2"),
        ({"intensity_range": [1]}, "intensity_range: "),
    ],
)
def test_a_fault_is_named_with_value_and_limit(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidParameters, match=words):
        make_parameters(given)
