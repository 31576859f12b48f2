"""How long and how fast a starter model learns."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training becomes, besides its phantoms and its seed."""

    crops: int
    """How many to see: a number of crops, not of minutes, so that a slow machine learns as much."""
    side: int = 224
    batch: int = 8
    peak_rate: float = 1e-3
    """Suits random weights."""
    weight_decay: float = 1e-4
    warm_up: float = 0.03
    """Share of the crops over which the rate rises."""
    points: int = 1024
    """PointRend's points per image."""
    average: float = 0.998
    """Decay of the weights' running average, which is what is kept."""

    @property
    def steps(self) -> int:
        return max(1, self.crops // self.batch)

    def rate(self, done: float) -> float:
        """The learning rate: a short rise, then half a cosine down to nothing; `done` runs from 0 to 1."""
        if done < self.warm_up:
            return self.peak_rate * done / self.warm_up
        rest = (done - self.warm_up) / (1 - self.warm_up)
        return self.peak_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, rest)))
