"""The command line, run as people run it."""

import os
import subprocess
import sys
from pathlib import Path

_SECONDS = 300


def command(*arguments: str | Path, **variables: str) -> tuple[list[str], dict[str, str]]:
    """How to start `emserve` with these arguments, and its environment: no proxy, no EMSERVE_ variable."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("EMSERVE_") and not name.lower().endswith("_proxy")
    }
    environment = {**kept, "COLUMNS": "200", "NO_COLOR": "1", **variables}
    return [sys.executable, "-m", "emserve.cli", *map(str, arguments)], environment


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`emserve` with these arguments, to its end."""
    words, environment = command(*arguments, **variables)
    return subprocess.run(
        words, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """The complaint of a command that failed: one paragraph with these words, no stack."""
    assert done.returncode == 1, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line.startswith("emserve: ")]
    assert len(complaints) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in complaints[0], complaints[0]
    return complaints[0]
