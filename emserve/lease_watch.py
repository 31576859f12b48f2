"""Tells which leases ran out: by whether they are renewed, and by no clock but its own."""

import time
from collections.abc import Mapping

from emserve.tickets import LEASE_SECONDS

_LONGEST_SECONDS = 2.0  # of the time between two looks, what counts


class LeaseWatch:
    """A lease runs out when it was watched for LEASE_SECONDS without being renewed.

    The time at which it claims to run out decides nothing: clocks are set, and those of two machines differ.
    """

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self._seconds = seconds
        self._looked_at = time.monotonic()
        self._unchanged: dict[str, tuple[float, float]] = {}
        """Of each lease: its number, and for how many seconds it has been seen with it."""

    def run_out(self, leases: Mapping[str, float]) -> list[str]:
        """Those of the `leases` that ran out by now."""
        now = time.monotonic()
        # While nobody could look, as without the broker, nobody could renew either.
        passed, self._looked_at = min(now - self._looked_at, _LONGEST_SECONDS), now
        self._unchanged = {
            lease: (number, self._seconds_unchanged(lease, number, passed))
            for lease, number in leases.items()
        }
        return [lease for lease, (_, seconds) in self._unchanged.items() if seconds >= self._seconds]

    def _seconds_unchanged(self, lease: str, number: float, passed: float) -> float:
        known, seconds = self._unchanged.get(lease, (None, 0.0))
        return seconds + passed if known == number else 0.0
