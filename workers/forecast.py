"""How much of a job is done, and how long the rest takes: from shares of its stages and their pace."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from emserve.jobs import JobRecord, Stage
from emserve.volumes import stacks

_IMAGE_SHARES = {
    Stage.DECODE: (0.0, 0.05),
    Stage.INFER: (0.05, 0.70),
    Stage.GROUP: (0.75, 0.15),
    Stage.WRITE: (0.90, 0.10),
}
"""Of each stage: what is done before it, and its usual share of the whole."""
_VOLUME_SHARES = {
    Stage.DECODE: (0.0, 0.02),
    Stage.INFER: (0.02, 0.85),
    Stage.GROUP: (0.87, 0.06),
    Stage.TRACK: (0.93, 0.04),
    Stage.WRITE: (0.97, 0.03),
}
_JOIN_SECONDS = 7e-8
"""What follows inference, for each voxel and stack (`make bench` measures it): it runs on the processor,
whatever the network and its device are, so no share of the time that they take foretells it."""
_MOST_SEEN = 512
_LEAST_FRACTION = 0.05  # before this much is done, an estimate would be a guess


@dataclass
class Forecast:
    """Of one attempt; clocks are the caller's, in seconds from any moment on."""

    begun: float
    shares: Mapping[Stage, tuple[float, float]] = field(default_factory=lambda: _IMAGE_SHARES)
    join_seconds: float | None = None
    """What comes after inference, where its share does not tell."""
    _stage: Stage | None = None
    _stage_begun: float = 0.0
    _seen: list[tuple[float, float]] = field(default_factory=list)
    """When it was seen that more is done, and how much of the whole that was."""

    @classmethod
    def of_volume(cls, begun: float, voxels: int, stacks: int) -> Self:
        return cls(begun, _VOLUME_SHARES, voxels * stacks * _JOIN_SECONDS)

    @classmethod
    def of(cls, begun: float, record: JobRecord) -> Self:
        if not record.input.is_volume:
            return cls(begun)
        return cls.of_volume(begun, record.input.pixels, stacks(record.params))

    def see(self, stage: Stage, done: int, total: int, now: float) -> tuple[float, float | None]:
        """With `done` of `total` units of a stage over: the fraction of the whole that is done, and how many
        seconds are left, None while nobody can tell."""
        if stage is not self._stage:
            self._stage, self._stage_begun, self._seen = stage, now, []
        before, share = self.shares[stage]
        fraction = min(1.0, before + share * done / max(total, 1))
        # Of the moments within a slice or a batch none counts: what is done of it does not show yet.
        if not self._seen or fraction > self._seen[-1][1]:
            self._seen.append((now, fraction))
        if len(self._seen) > _MOST_SEEN:
            del self._seen[:-1:2]
        pace = self._pace(fraction, now)
        if pace is None:
            return fraction, None
        if stage is Stage.INFER and self.join_seconds is not None:
            return fraction, pace * (before + share - fraction) + self.join_seconds
        return fraction, pace * (1 - fraction)

    def _pace(self, fraction: float, now: float) -> float | None:
        """Seconds that the whole would take at the pace of the later half of this stage, so that neither a
        slow start counts nor what an earlier attempt has left; of a young stage, at that of the whole."""
        last, at_last = self._seen[-1]
        half = self._stage_begun + (last - self._stage_begun) / 2
        then, at_half = next(seen for seen in self._seen if seen[0] >= half)
        if last > then and at_last - at_half >= _LEAST_FRACTION / 2:
            return (last - then) / (at_last - at_half)
        if fraction > _LEAST_FRACTION and self._stage is not Stage.INFER:
            return (now - self.begun) / fraction
        return None
