"""Programs of the other packages, run as processes of their own: the command line imports none of them."""

import os
import signal
import subprocess
import sys

from emserve.client.errors import ClientError
from emserve.extras import how_to_install


class ProgramFailed(ClientError):
    """A program that a command needs did not do its work."""


class InputRefused(ClientError):
    """A program cannot use the files that it was given; `str` is its reason."""


class OptionRefused(ClientError):
    """A program cannot do what an option asks of the files that it was given; `str` is its reason."""


def run_program(module: str, *arguments: str, extra: str, seconds: float | None = None) -> str:
    """Output of `python -m module`, which the part `extra` of the package brings.

    Raises InputRefused where it ended with EX_DATAERR, OptionRefused where with EX_USAGE; ProgramFailed, with
    its last words, where it failed otherwise, or ran longer than `seconds`."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as error:
        raise ProgramFailed(f"{module} was stopped: it ran longer than {seconds:g} s.") from error
    if done.returncode == 0:
        return done.stdout
    if done.returncode < 0:
        raise ProgramFailed(f"{module}, which this command needs, {_end_by(-done.returncode)}")
    last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
    if done.returncode == os.EX_DATAERR:
        raise InputRefused(last)
    if done.returncode == os.EX_USAGE:
        raise OptionRefused(last)
    raise ProgramFailed(
        f"{module}, which this command needs, failed: {last}. If a package is missing, "
        f"{how_to_install(extra)} brings it."
    )


def _end_by(number: int) -> str:
    """What a signal did to a program."""
    if number == signal.SIGKILL:
        return "was killed, probably for want of memory: close other programs, or give it smaller files."
    return f"was ended by signal {number} ({signal.strsignal(number)})."
