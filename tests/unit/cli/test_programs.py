"""Programs of the other packages, run as processes."""

import pytest

from emserve.cli.programs import ProgramFailed, run_program


def test_a_module_runs_and_its_output_comes_back() -> None:
    assert "usage" in run_program("json.tool", "--help", extra="worker").lower()


def test_a_module_that_is_missing_is_named_with_the_remedy() -> None:
    with pytest.raises(ProgramFailed, match=r"training\.nowhere.*No module named.*'\.\[worker\]'"):
        run_program("training.nowhere", extra="worker")


def test_the_last_words_of_a_module_that_failed_are_told() -> None:
    with pytest.raises(ProgramFailed, match=r"json\.tool, which this command needs, failed: .*nowhere\.json"):
        run_program("json.tool", "nowhere.json", extra="worker")


def test_a_module_that_takes_too_long_is_stopped() -> None:
    with pytest.raises(ProgramFailed, match="longer than 0 s"):
        run_program("json.tool", "--help", extra="worker", seconds=0)


def test_a_module_that_was_killed_is_told_with_the_likely_reason() -> None:
    with pytest.raises(ProgramFailed, match=r"timeit, which .* was killed, probably for want of memory"):
        run_program("timeit", "import os; os.kill(os.getpid(), 9)", extra="worker")
    with pytest.raises(ProgramFailed, match=r"was ended by signal 6 \(Aborted\)"):
        run_program("timeit", "import os; os.abort()", extra="worker")
