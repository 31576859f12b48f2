"""The tensors of a model's file, whichever of torch's forms it has: TorchScript or a plain checkpoint."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from emserve.errors import UserError
from workers.models.archive import Archive, ModelFileDamaged, ModelFileUnsafe, is_zip
from workers.models.scripted import QuantizedModel, scripted_tensors

_STATE_DICTS = ("state_dict", "model_state_dict", "model")  # where checkpoints keep their tensors
_PARALLEL = "module."  # what a network that was trained on several devices has before each key
_REFUSED = re.compile(r"GLOBAL ([\w.]+)")

Checkpoint = Any  # whatever somebody saved


class NoTensors(UserError):
    """The file holds no network's weights."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of the file at `path` by the names that its network has for them. Runs no code of the file.

    Raises ModelFileDamaged, ModelFileUnsafe, QuantizedModel and NoTensors.
    """
    if is_zip(path):
        with Archive.open(path) as archive:
            if archive.is_scripted:
                return _used(scripted_tensors(archive, path.name), path)
    return _used(_state_dict(_load(path), path), path)


def _load(path: Path) -> Checkpoint:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about protocols and classes of older versions
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = _REFUSED.search(str(error))
        what = f"it would import {found[1]}" if found else "it does more than to list numbers"
        raise ModelFileUnsafe(
            f"{path.name} cannot be trusted: {what}. Nothing of it was run. Save the network's state_dict "
            "alone and import that."
        ) from error
    except (RuntimeError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise ModelFileDamaged(f"{path.name} is truncated or damaged ({error!s:.200}).") from error


def _state_dict(loaded: Checkpoint, path: Path) -> dict[str, Tensor]:
    candidates = [loaded]
    if isinstance(loaded, Mapping):
        candidates = [*(loaded[name] for name in _STATE_DICTS if name in loaded), loaded]
    for candidate in candidates:
        if isinstance(candidate, Mapping):
            tensors = {str(key): value for key, value in candidate.items() if isinstance(value, Tensor)}
            if tensors:
                return tensors
    raise NoTensors(
        f"{path.name} holds no weights: neither tensors by name nor such under {' or '.join(_STATE_DICTS)}."
    )


def _used(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    if not tensors:
        raise NoTensors(f"{path.name} holds no weights: there is no tensor in it.")
    named = {key.removeprefix(_PARALLEL): tensor for key, tensor in tensors.items()}
    for key, tensor in named.items():
        if tensor.is_quantized:
            raise QuantizedModel(path.name)
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise NoTensors(f"{path.name} holds NaN or infinity in {key}: no network can use these weights.")
    return named
