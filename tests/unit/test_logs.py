"""Every line that a process of ours writes is a JSON object, also about what nobody foresaw."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

_CONFIGURED = "from emserve.logs import configure; configure('json')\n"

_WARNING = "import warnings; warnings.warn('an old option')"
_UNCAUGHT = "raise ValueError('never seen before')"
_IN_A_THREAD = """
import threading
def fail(): raise ValueError('in a thread')
thread = threading.Thread(target=fail, name='renewal')
thread.start(); thread.join()
"""
_WHERE_NONE_CAN_BE_RAISED = """
class Careless:
    def __del__(self): raise ValueError('while it is forgotten')
Careless()
"""


def _lines(stderr: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr.splitlines()]


@pytest.mark.parametrize(
    ("code", "level", "event", "exit_status"),
    [
        (_WARNING, "warning", "an old option", 0),
        (_UNCAUGHT, "critical", "ended by an exception that nobody caught", 1),
        (_IN_A_THREAD, "critical", "a thread was ended by an exception", 0),
        (_WHERE_NONE_CAN_BE_RAISED, "error", "an exception where none can be raised", 0),
    ],
)
def test_what_python_itself_would_print_is_a_line_too(
    code: str, level: str, event: str, exit_status: int
) -> None:
    done = subprocess.run([sys.executable, "-c", _CONFIGURED + code], capture_output=True, check=False)
    (line,) = _lines(done.stderr)
    assert (line["level"], done.returncode) == (level, exit_status)
    assert event in line["event"]
    if level != "warning":
        assert line["exception"][0]["exc_type"] == "ValueError"


def test_ctrl_c_is_no_fault() -> None:
    code = _CONFIGURED + "raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"nobody caught" not in done.stderr


def test_an_image_process_whose_parent_is_gone_before_it_is_ready_ends_quietly() -> None:
    """As when a worker is killed in the moment in which it starts one."""
    command = [sys.executable, "-m", "workers.images", "--memory-bytes", str(4 << 30), "--cpu-seconds", "60"]
    reading, writing = os.pipe()
    os.close(reading)  # nobody will ever read its answers
    with os.fdopen(writing, "w") as answers:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=answers,
            stderr=subprocess.PIPE,
            env={**os.environ, "EMSERVE_LOG_FORMAT": "json"},
            check=False,
        )
    (line,) = _lines(done.stderr)
    assert (line["event"], line["level"], done.returncode) == ("the parent is gone; ending", "info", 0)
