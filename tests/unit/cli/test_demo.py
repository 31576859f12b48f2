"""The processes that the demo runs beside itself."""

import pytest

from emserve.cli.demo import DemoFailed, run_module


def test_a_module_runs_and_its_output_comes_back() -> None:
    assert "usage" in run_module("json.tool", "--help").lower()


def test_a_module_that_is_missing_is_named_with_the_remedy() -> None:
    with pytest.raises(DemoFailed, match=r"training\.nowhere.*No module named.*emserve\[worker\]"):
        run_module("training.nowhere")


def test_the_last_words_of_a_module_that_failed_are_told() -> None:
    with pytest.raises(DemoFailed, match=r"json\.tool, which the demo needs, failed: .*nowhere\.json"):
        run_module("json.tool", "nowhere.json")
