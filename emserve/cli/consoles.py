"""Where commands write: results to stdout, all talk to stderr."""

import sys

from rich.console import Console
from rich.text import Text

_WIDTH_OF_A_FILE = 200  # no terminal has said how wide it is; ids must not be cut


def stdout() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def stderr() -> Console:
    return Console(stderr=True, highlight=False)


def warn(message: str) -> None:
    """Something to know of, in yellow; the command goes on."""
    stderr().print(Text(message, "yellow"), soft_wrap=True)
