"""Crowded cytoplasm hides organelles, and leaves them as they are."""

import numpy as np
import pytest

from training.crowding import crowd
from training.phantoms.organelle import Organelle

_KINDS = np.full((96, 96), Organelle.CYTOPLASM, np.int32)
_KINDS[30:60, 30:70] = Organelle.MITOCHONDRION
_WELL_INSIDE = (slice(36, 54), slice(36, 64))


def scene(mitochondrion: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.where(_KINDS == Organelle.MITOCHONDRION, mitochondrion, 0.5).astype(np.float32)


@pytest.mark.parametrize("mitochondrion", [0.2, 0.8], ids=["dark", "bright"])
@pytest.mark.parametrize("seed", range(5))
def test_cytoplasm_comes_nearer_to_mitochondria_that_stay_as_they_are(
    mitochondrion: float, seed: int
) -> None:
    image = scene(mitochondrion)
    crowded = crowd(np.random.default_rng(seed), image, _KINDS, 11.0)
    assert crowded.dtype == np.float32
    assert np.array_equal(crowded[_WELL_INSIDE], image[_WELL_INSIDE])
    towards = (crowded - image) * (mitochondrion - 0.5)
    assert towards.min() >= -1e-6
    assert (towards > 0.005).mean() > 0.05


def test_what_has_no_mitochondrion_becomes_darker() -> None:
    kinds = np.full((64, 64), Organelle.CYTOPLASM, np.int32)
    image = np.full((64, 64), 0.05, np.float32)
    crowded = crowd(np.random.default_rng(1), image, kinds, 8.0)
    assert crowded.min() == 0.0
    assert crowded.mean() < image.mean()


def test_a_crop_without_cytoplasm_stays_as_it_is() -> None:
    kinds = np.full((32, 32), Organelle.NUCLEUS, np.int32)
    image = np.linspace(0, 1, 1024, dtype=np.float32).reshape(32, 32)
    assert np.array_equal(crowd(np.random.default_rng(1), image, kinds, 8.0), image)
