"""Keeps the parts of the service running, and stops them in order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emserve.errors import EmserveError
from emserve.parts import RunningPart

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_HEALTHY_SECONDS = 60.0  # a part that lived this long starts again as if for the first time


@dataclass(frozen=True)
class Death:
    """One end of a part that nobody asked for, or a start again that failed."""

    name: str
    ending: str
    """Such as "ended with code 1", "was killed by SIGKILL" or "could not be started: …"."""
    count: int
    """How many times in a row, without a healthy life between."""
    pause_seconds: float
    """How long it waits before it is started again."""
    last_words: str
    """The end of its log; empty when that went to stderr."""


class Keeper:
    """Keeps one part running; each death in a row doubles the pause before its next life."""

    def __init__(self, launch: Callable[[], RunningPart], running: RunningPart | None = None) -> None:
        self._launch = launch
        self.running = running or launch()
        self._deaths = 0
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._restart_at: float | None = None

    def look(self) -> Death | None:
        """Starts the part again when its time has come; a death that was not seen before is returned."""
        now = time.monotonic()
        if self._restart_at is None:
            return None if self.running.is_alive else self._mourn(now)
        return self._start_again(now) if now >= self._restart_at else None

    def _start_again(self, now: float) -> Death | None:
        try:
            self.running = self._launch()
        except (OSError, EmserveError) as error:  # for want of memory, of room for its log, of its program
            return self._death(now, f"could not be started: {str(error).rstrip('.')}")
        self._restart_at = None
        return None

    def _mourn(self, now: float) -> Death:
        self.running.kill()  # what its process group left behind
        if now - self.running.started > _HEALTHY_SECONDS:
            self._deaths, self._pause_seconds = 0, _FIRST_PAUSE_SECONDS
        return self._death(now, self.running.ending)

    def _death(self, now: float, ending: str) -> Death:
        self._deaths += 1
        pause = self._pause_seconds
        self._pause_seconds = min(_LONGEST_PAUSE_SECONDS, 2 * pause)
        self._restart_at = now + pause
        return Death(self.running.part.name, ending, self._deaths, pause, self.running.last_words())


def stop_all(
    keepers: Sequence[Keeper], seconds: float, wait: Callable[[float], None], hurry: Callable[[], bool]
) -> None:
    """Asks all to end at once and kills what is left after `seconds`, or as soon as there is a hurry."""
    for keeper in keepers:
        if not hurry():
            keeper.running.terminate()
    deadline = time.monotonic() + seconds
    while any(keeper.running.is_alive for keeper in keepers) and time.monotonic() < deadline and not hurry():
        wait(0.2)
    for keeper in keepers:
        keeper.running.kill()
