"""Seeded weights: each tensor is a function of the model's name, its key and its shape."""

import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

_ALIAS = re.compile(r"\.after_combines\.\d+\.")


def seeded_state_dict(name: str, shapes: Mapping[str, tuple[int, ...]], goldens: Path) -> dict[str, Tensor]:
    """Plain state dict with these keys and shapes of a model that `goldens` has a `weights_<name>.npz` of."""
    with np.load(goldens / f"weights_{name}.npz") as file:
        stored = {key: torch.from_numpy(file[key]) for key in file.files}
    tensors: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        source = _ALIAS.sub(".after_combines.0.", key)
        found = stored.get(source, stored.get(key))
        tensors[key] = _draw(name, source, shape, shapes) if found is None else found
    return tensors


def _draw(name: str, key: str, shape: tuple[int, ...], shapes: Mapping[str, tuple[int, ...]]) -> Tensor:
    layer, _, leaf = key.rpartition(".")
    normalised = f"{layer}.running_mean" in shapes
    if leaf == "num_batches_tracked":
        return torch.zeros((), dtype=torch.int64)
    if leaf.startswith("running_"):
        return torch.full(shape, 1.0 if leaf == "running_var" else 0.0)
    draw = np.random.RandomState(zlib.crc32(f"{name}:{key}".encode())).standard_normal(shape)
    if len(shape) >= 3:
        fan_in = shape[0] if ".upsamplings." in key else int(np.prod(shape[1:]))
        values = draw.astype(np.float32) * np.float32(np.sqrt(2.0 / fan_in))
    elif key.endswith("fpn.weights"):
        values = np.abs(1 + 0.3 * draw)
    elif leaf == "weight":
        values = 1 + 0.1 * draw
    else:
        values = (0.1 if normalised else 0.05) * draw
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
