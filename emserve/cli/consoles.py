"""Where commands write: results to stdout, all talk to stderr."""

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 200  # no terminal has said how wide it is; ids must not be cut


def stdout() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def stderr() -> Console:
    return Console(stderr=True, highlight=False)
