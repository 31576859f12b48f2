"""The command line, called as people call it."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from emserve.cli import app


def command(*arguments: str | Path, **variables: str) -> tuple[list[str], dict[str, str]]:
    """How to start `emserve` with these arguments as a process, and its environment."""
    return [sys.executable, "-m", "emserve.cli", *map(str, arguments)], _environment(variables)


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """`emserve` with these arguments, to its end; in this process, since an interpreter's start is dear."""
    words = [str(argument) for argument in arguments]
    output, complaint = _Text(), _Text()
    with (
        _environ(_environment(variables)),
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(complaint),
    ):
        code = _exit_code(words)
    return subprocess.CompletedProcess(words, code, output.text, complaint.text)


class _Text(io.TextIOWrapper):
    """What a file would hold that a command writes to."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)

    @property
    def text(self) -> str:
        self.seek(0)
        return self.read()


def _exit_code(words: list[str]) -> int:
    try:
        app(words, prog_name="emserve")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's, with no proxy and no EMSERVE_ variable but those given."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("EMSERVE_") and not name.lower().endswith("_proxy")
    }
    return {**kept, "COLUMNS": "200", "NO_COLOR": "1", **variables}


@contextlib.contextmanager
def _environ(environment: Mapping[str, str]) -> Iterator[None]:
    """Meanwhile this process has that environment."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(environment)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> str:
    """The complaint of a command that failed: one paragraph with these words, no stack."""
    assert done.returncode == 1, done.stderr
    complaints = [line for line in done.stderr.splitlines() if line.startswith("emserve: ")]
    assert len(complaints) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in complaints[0], complaints[0]
    return complaints[0]
