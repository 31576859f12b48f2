"""Crops of phantoms without end, as a network learns from them."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from training.augment import NORMS, random_crop
from training.phantoms import Phantom
from training.pool import PhantomPool
from training.starters import Starter
from training.targets import make_targets

_FINEST, _COARSEST = 0.5, 1.6  # pixel sizes of phantoms that zooming brings near a model's own
_EMPTY_PASSED_OVER = 0.6  # of crops without an object: rare objects are seen more often


class Crops(IterableDataset[tuple[Tensor, ...]]):
    """Image (1, S, S) normalised, then the targets' five tensors."""

    def __init__(self, pool: PhantomPool, starter: Starter, side: int, seed: tuple[int, ...]) -> None:
        self._pool, self._starter, self._side, self._seed = pool, starter, side, seed

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        worker = get_worker_info()
        rng = np.random.default_rng((*self._seed, worker.id if worker else 0))
        while True:
            crop = random_crop(rng, self._draw(rng), self._starter, self._side)
            if not crop.labels.any() and rng.random() < _EMPTY_PASSED_OVER:
                continue
            image = ((crop.image - NORMS.mean) / NORMS.std).astype(np.float32)
            targets = make_targets(crop.labels, crop.kinds)
            yield tuple(torch.from_numpy(array) for array in (image[None], *vars(targets).values()))

    def _draw(self, rng: np.random.Generator) -> Phantom:
        native = self._starter.native_pixel_size_nm
        return self._pool.draw(rng, _FINEST * native, _COARSEST * native)
