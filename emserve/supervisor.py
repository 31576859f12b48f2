"""Keeps the parts of the service running, and stops them in order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from emserve.parts import RunningPart

_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_HEALTHY_SECONDS = 60.0  # a part that lived this long starts again as if for the first time


@dataclass(frozen=True)
class Death:
    """One end of a part that nobody asked for."""

    name: str
    ending: str
    """Such as "ended with code 1" or "was killed by SIGKILL"."""
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
        self._restart_at: float | None = None

    def look(self) -> Death | None:
        """Starts the part again when its time has come; a death that was not seen before is returned."""
        now = time.monotonic()
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._restart_at = None
                self.running = self._launch()
            return None
        if self.running.is_alive:
            return None
        return self._mourn(now)

    def _mourn(self, now: float) -> Death:
        self.running.kill()  # what its process group left behind
        lived_seconds = now - self.running.started
        self._deaths = 1 if lived_seconds > _HEALTHY_SECONDS else self._deaths + 1
        pause = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** (self._deaths - 1))
        self._restart_at = now + pause
        part = self.running.part
        return Death(part.name, self.running.ending, self._deaths, pause, self.running.last_words())


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
