"""Weights: safetensors files that fill networks."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from emserve.cards import ModelCard
from emserve.errors import EmserveError
from workers.models.fold import fold
from workers.models.panoptic import PanopticNetwork
from workers.models.registry import build_outline

Storage = Literal["fp16", "fp32"]

_DTYPES: Mapping[Storage, torch.dtype] = {"fp16": torch.float16, "fp32": torch.float32}
_LISTED = 5  # a message names this many keys of a kind


class WeightsUnreadable(EmserveError):
    slug = "weights-unreadable"
    title = "The model's weights cannot be read"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"{path.name} is not a readable safetensors file: {reason}. Install the model again."
        )


class WeightsChanged(EmserveError):
    slug = "weights-changed"
    title = "The model's weights are not those of its card"

    def __init__(self, path: Path, expected: str, found: str) -> None:
        super().__init__(
            f"{path.name} has the SHA-256 {found}, its card says {expected}. Install the model again."
        )


class WeightsMismatch(EmserveError):
    """Tensors do not fit a network."""

    slug = "weights-mismatch"
    title = "The model's weights do not fit its network"

    def __init__(
        self, missing: Sequence[str] = (), left_over: Sequence[str] = (), other_shape: Sequence[str] = ()
    ) -> None:
        kinds = (("missing", missing), ("left over", left_over), ("of another shape", other_shape))
        faults = "; ".join(f"{kind}: {_listing(keys)}" for kind, keys in kinds if keys)
        super().__init__(
            f"The weights do not fit the network ({faults}). "
            "Check the architecture and its configuration in the model's card."
        )
        self.missing = tuple(missing)
        self.left_over = tuple(left_over)
        self.other_shape = tuple(other_shape)


class WeightsUnwritable(EmserveError):
    slug = "weights-unwritable"
    title = "The model's weights cannot be stored"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be written: {reason}. Make room there, or choose another folder.")


class WeightsOverflow(EmserveError):
    slug = "weights-overflow"
    title = "The weights are too large for 16 bits"

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} has values beyond the range of fp16. Store these weights as fp32.")


def save(network: PanopticNetwork, path: Path, storage: Storage = "fp16") -> str:
    """Writes the tensors of `network`, each once, and returns the file's SHA-256.

    Floating-point tensors are stored as `storage`. Raises WeightsOverflow where fp16 cannot hold one, and
    WeightsUnwritable.
    """
    stored: dict[str, Tensor] = {}
    for key, tensor in _own_tensors(network).items():
        stored[key] = tensor.detach().cpu().contiguous()
        if tensor.is_floating_point():
            stored[key] = stored[key].to(_DTYPES[storage])
            if stored[key].isinf().any():
                raise WeightsOverflow(key)
    try:
        save_file(stored, path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnwritable(path, str(error)) from error
    path.chmod(0o644)  # the library's own 0600 would keep workers of another user out
    return sha256(path)


def load(network: PanopticNetwork, path: Path, dtype: torch.dtype = torch.float32) -> PanopticNetwork:
    """`network` (plain) itself, folded and filled from `path`, whose tensors may be plain or folded.

    It runs in `dtype`, however the file stores it. The network may have been built on the device "meta",
    which costs no memory. Raises WeightsUnreadable and WeightsMismatch.
    """
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise WeightsUnreadable(path, str(error)) from error
    plain = any(key.endswith(".running_var") for key in tensors)
    if not plain:
        fold(network)
    # A copy: the file is mapped into memory, and must be free to go.
    fill(network, {key: tensor.to(_runs_in(tensor, dtype), copy=True) for key, tensor in tensors.items()})
    return fold(network)


def load_card(
    card: ModelCard, path: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
) -> PanopticNetwork:
    """The network of `card`, folded, with the weights at `path`, on `device`.

    Raises what `verified_sha256` and `load` raise.
    """
    verified_sha256(card, path)
    return load(outline(card), path, dtype).to(device)


def verified_sha256(card: ModelCard, path: Path) -> str:
    """SHA-256 of the file at `path`. Raises WeightsChanged where the card names another one."""
    found = sha256(path)
    if card.weights_sha256 not in {None, found}:
        raise WeightsChanged(path, card.weights_sha256 or "", found)
    return found


def outline(card: ModelCard) -> PanopticNetwork:
    """The plain network of `card` without any memory for its weights."""
    return build_outline(card.architecture, card.architecture_config)


def fill(network: PanopticNetwork, tensors: Mapping[str, Tensor]) -> None:
    """Makes `tensors` the weights of `network`, whichever form that is in. Raises WeightsMismatch."""
    accepted = network.state_dict()  # repeats what is shared, under each of its keys
    missing = [key for key in _own_tensors(network) if key not in tensors]
    left_over = [key for key in tensors if key not in accepted]
    other_shape = [
        f"{key} {tuple(tensor.shape)} for {tuple(accepted[key].shape)}"
        for key, tensor in tensors.items()
        if key in accepted and tensor.shape != accepted[key].shape
    ]
    if missing or left_over or other_shape:
        raise WeightsMismatch(missing, left_over, other_shape)
    network.load_state_dict(tensors, strict=False, assign=True)


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal. Raises WeightsUnreadable."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsUnreadable(path, str(error)) from error


def _own_tensors(network: PanopticNetwork) -> dict[str, Tensor]:
    """Parameters and buffers, a shared one under its first key only."""
    return dict(network.named_parameters()) | dict(network.named_buffers())


def _runs_in(tensor: Tensor, dtype: torch.dtype) -> torch.dtype:
    return dtype if tensor.is_floating_point() else tensor.dtype


def _listing(keys: Sequence[str]) -> str:
    rest = len(keys) - _LISTED
    return ", ".join(keys[:_LISTED]) + (f" and {rest} more" if rest > 0 else "")
