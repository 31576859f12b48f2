"""The shelf of warm models: networks kept ready on one device, within a budget of bytes."""

from dataclasses import dataclass
from pathlib import Path

import torch

from emserve.cards import ModelCard
from workers.models.panoptic import PanopticNetwork
from workers.models.ready import DTYPES, Precision, make_ready
from workers.models.weights import load_card, outline, sha256


@dataclass(frozen=True)
class _Warm:
    network: PanopticNetwork
    fingerprint: str
    sha256: str
    size_bytes: int


class Shelf:
    """Warm networks by card; what was used least recently goes first when the budget is short.

    A network that is larger than the whole budget is still loaded, alone.
    """

    def __init__(self, device: torch.device | str, budget_bytes: int, precision: Precision = "fp32") -> None:
        self._device = torch.device(device)
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
        return self._warm[card.id].sha256

    def loaded(self) -> list[str]:
        """Ids of the warm cards, the most recently used last."""
        return list(self._warm)

    def _load(self, card: ModelCard, weights_path: Path, fingerprint: str) -> _Warm:
        size_bytes = _size_bytes(outline(card), DTYPES[self._precision])
        self._make_room(size_bytes)
        found = sha256(weights_path)
        network = make_ready(load_card(card, weights_path, self._device), self._device, self._precision)
        return _Warm(network, fingerprint, found, size_bytes)

    def _make_room(self, size_bytes: int) -> None:
        used = sum(warm.size_bytes for warm in self._warm.values())
        while self._warm and used + size_bytes > self._budget_bytes:
            used -= self._warm.pop(next(iter(self._warm))).size_bytes


def _fingerprint(card: ModelCard, weights_path: Path) -> str:
    if card.weights_sha256 is not None:
        return card.weights_sha256
    stat = weights_path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _size_bytes(network: PanopticNetwork, dtype: torch.dtype) -> int:
    return sum(parameter.numel() for parameter in network.parameters()) * dtype.itemsize
