"""The shelf of warm models: networks kept ready on one device, within a budget of bytes."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from emserve.cards import ModelCard
from emserve.resident import Resident
from workers.models.panoptic import PanopticNetwork
from workers.models.ready import DTYPES, Precision, make_ready
from workers.models.weights import load, outline, verified_sha256

OnLoad = Callable[[str, float], None]
"""Called with the id of a card whose network was loaded, and the seconds that took."""
OnEviction = Callable[[str], None]
"""Called with the id of a card whose network had to make room."""


@dataclass(frozen=True)
class _Warm:
    network: PanopticNetwork
    fingerprint: str
    about: Resident


class Shelf:
    """Warm networks by card; what was used least recently goes first when the budget is short.

    A network that is larger than the whole budget is still loaded, alone. Room is made only when another
    network is asked for, which is between two jobs.
    """

    def __init__(
        self,
        device: torch.device | str,
        budget_bytes: int,
        precision: Precision = "fp32",
        *,
        on_load: OnLoad = lambda *_: None,
        on_eviction: OnEviction = lambda _: None,
    ) -> None:
        self._device = torch.device(device)
        self._on_load = on_load
        self._on_eviction = on_eviction
        self._precision: Precision = precision
        self._budget_bytes = budget_bytes
        self._warm: dict[str, _Warm] = {}  # card id to network, least recently used first

    def get(self, card: ModelCard, weights_path: Path) -> PanopticNetwork:
        """The network of `card`: made ready for the shelf's device and precision.

        A file that has changed since is loaded again. Raises the errors of `load_card`.
        """
        fingerprint = _fingerprint(card, weights_path)
        warm = self._warm.pop(card.id, None)
        if warm is None or warm.fingerprint != fingerprint:
            warm = None  # the stale one must not stay beside its successor
            warm = self._load(card, weights_path, fingerprint)
        self._warm[card.id] = warm
        return warm.network

    def sha256(self, card: ModelCard) -> str:
        """SHA-256 of the file that the warm network of `card` was loaded from."""
        return self._warm[card.id].about.sha256

    def residents(self) -> list[Resident]:
        """What is warm, the most recently used last."""
        return [warm.about for warm in self._warm.values()]

    def _load(self, card: ModelCard, weights_path: Path, fingerprint: str) -> _Warm:
        begun = time.monotonic()
        size_bytes = _size_bytes(outline(card), DTYPES[self._precision])
        self._make_room(size_bytes)
        found = verified_sha256(card, weights_path)
        network = load(outline(card), weights_path).to(self._device)
        network = make_ready(network, self._device, self._precision)
        seconds = round(time.monotonic() - begun, 3)
        self._on_load(card.id, seconds)
        about = Resident(id=card.id, sha256=found, bytes=size_bytes, load_seconds=seconds)
        return _Warm(network, fingerprint, about)

    def _make_room(self, size_bytes: int) -> None:
        used = sum(warm.about.bytes for warm in self._warm.values())
        evicted = []
        while self._warm and used + size_bytes > self._budget_bytes:
            about = self._warm.pop(next(iter(self._warm))).about
            used -= about.bytes
            evicted.append(about.id)
        if evicted:
            gc.collect()  # modules refer to each other; their memory must be free before the next is loaded
            if self._device.type == "cuda":
                torch.cuda.empty_cache()
        for card_id in evicted:
            self._on_eviction(card_id)


def _fingerprint(card: ModelCard, weights_path: Path) -> str:
    if card.weights_sha256 is not None:
        return card.weights_sha256
    stat = weights_path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _size_bytes(network: PanopticNetwork, dtype: torch.dtype) -> int:
    return sum(parameter.numel() for parameter in network.parameters()) * dtype.itemsize
