"""Lines that say what happens as it happens: what begins, and on the same line how it went."""

import contextlib

from rich.console import Console, RenderableType
from rich.text import Text

_WIDTH = 34  # columns of what begins, so that how it went stands in line


class Steps:
    """Writes to a console; a terminal that went away stops no service, so its faults are passed over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: str | None = None

    def begin(self, text: str) -> None:
        self._open = f"{text} …"
        self._write(f"{self._open:<{_WIDTH}}", end="")

    def done(self, result: str) -> None:
        """Ends the open step's line; begins it anew where another line came between."""
        if self._open is None:
            self._write(f"{'':<{_WIDTH}}{result}")
        else:
            self._open = None
            self._write(result)

    def say(self, text: str, style: str = "") -> None:
        """A line of its own."""
        if self._open is not None:
            self._open = None
            self._write("")
        self._write(text, style=style)

    def show(self, renderable: RenderableType) -> None:
        with contextlib.suppress(OSError):
            self._console.print(renderable)

    def _write(self, text: str, *, end: str = "\n", style: str = "") -> None:
        with contextlib.suppress(OSError):
            self._console.print(Text(text, style), end=end, soft_wrap=True)
