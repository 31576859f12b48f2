"""How errors are told: one red paragraph on stderr, no stack, and the exit code that fits."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.text import Text

from emserve.cli.consoles import stderr
from emserve.cli.programs import OptionRefused
from emserve.client.errors import BadAddress, ClientError, InvalidParameters, UnknownFormat
from emserve.errors import EmserveError

FAILED = 1
USAGE = 2
INTERRUPTED = 130  # what shells say of SIGINT

_USAGE_ERRORS = (BadAddress, InvalidParameters, OptionRefused, UnknownFormat)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def complain(message: str) -> None:
    stderr().print(Text(f"emserve: {message}", "red"), soft_wrap=True)


@contextmanager
def told_errors() -> Iterator[None]:
    """Ends the command for what is expected to go wrong; what is not keeps its stack."""
    try:
        yield
    except (ClientError, EmserveError) as error:
        complain(str(error))
        raise typer.Exit(USAGE if isinstance(error, _USAGE_ERRORS) else FAILED) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(INTERRUPTED) from error
    except OSError as error:
        if error.filename is None and error.errno not in _DISK_FULL:
            raise
        where = f"{error.filename}: " if error.filename is not None else ""
        complain(f"{where}{error.strerror}")
        raise typer.Exit(FAILED) from error
