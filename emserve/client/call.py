"""A request to the service as a value, before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from emserve.client.payload import Payload
from emserve.client.sink import Sink

TRIES = 4
"""How often a request that changes nothing is sent at most."""
STUBBORN_TRIES = 8
"""The same of a stubborn one: some twenty seconds, enough for a service that starts again."""


@dataclass(frozen=True)
class Call:
    """One request, and what shall become of its answer."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Payload | None = None
    sink: Sink | None = None
    """Where the content of a 200 goes; None keeps it in the answer."""
    patience_seconds: float = 0
    """How much longer than usual the first byte of the answer may take."""
    is_stubborn: bool = False
    """Whether it is sent again more often, and after silence, too: while a job is awaited."""

    @property
    def tries(self) -> int:
        return STUBBORN_TRIES if self.is_stubborn else TRIES


@dataclass(frozen=True)
class Pause:
    """A time in which nothing is asked."""

    seconds: float
