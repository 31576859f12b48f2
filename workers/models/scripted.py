"""TorchScript archives: their tensors, read without running any of their code.

The description in such an archive is a pickle: a program that builds the tree of modules. It is run by an
unpickler that knows a few inert names and no other, after its instructions were checked one by one.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from emserve.errors import UserError
from workers.models.archive import Archive, ModelFileDamaged, ModelFileUnsafe

_LARGEST_DESCRIPTION = 64 * 1024**2
_MOST_NODES = 100_000
_DEEPEST = 64
_INSTRUCTIONS = frozenset(
    {
        *("PROTO", "STOP", "MARK", "GLOBAL", "NEWOBJ", "BUILD", "REDUCE", "BINPERSID"),
        *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE"),
    }
)
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_QUANTIZED = frozenset(
    {"QInt8Storage", "QUInt8Storage", "QInt32Storage", "QUInt4x2Storage", "QUInt2x4Storage"}
)
_LISTS = frozenset(
    {"build_intlist", "build_doublelist", "build_boollist", "build_tensorlist", "restore_type_tag"}
)

_SENSELESS = (
    *(pickle.UnpicklingError, EOFError, IndexError, KeyError, TypeError, ValueError),
    *(AttributeError, OverflowError, RecursionError, RuntimeError),
)
"""What unpickling raises when a description was not written by torch, or was damaged."""

Unpickled = Any  # a pickle can hold anything; whatever is no module and no tensor is passed over


class QuantizedModel(UserError):
    """Weights in 8 bits."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is a quantized model: its weights are in 8 bits, made for one way of computing on CPUs, "
            "and less exact than the original. Give the original, the file without _quantized in its name; "
            "EMSERVE_PRECISION=bf16 makes it fast on CPUs, too."
        )


class _Module:
    """A module of the archive: its attributes, none of its code."""

    attributes: Unpickled = None

    def __setstate__(self, state: Unpickled) -> None:
        self.attributes = state


def scripted_tensors(archive: Archive, name: str) -> dict[str, Tensor]:
    """Tensors of the archive by their dotted names. What shares memory there, shares it here.

    Raises QuantizedModel, ModelFileUnsafe and ModelFileDamaged.
    """
    description = archive.description()
    if len(description) > _LARGEST_DESCRIPTION:
        raise ModelFileUnsafe(
            f"{name} describes its tensors in {len(description)} bytes, and {_LARGEST_DESCRIPTION} are "
            "enough for any network."
        )
    if not archive.is_little_endian:
        raise ModelFileDamaged(f"{name} was written on a big-endian machine. Export it on another.")
    _check_instructions(description, name)
    return _named(_Reader(description, archive, name).load_root(), name)


def _check_instructions(description: bytes, name: str) -> None:
    """The unpickler's own memory is bounded by this, too: no instruction names a far place in its memo."""
    try:
        for instruction, argument, _ in pickletools.genops(description):
            if instruction.name not in _INSTRUCTIONS:
                raise ModelFileUnsafe(
                    f"{name} cannot be trusted: its description holds the instruction {instruction.name}, "
                    "which TorchScript never writes."
                )
            if instruction.name == "LONG_BINPUT" and (argument or 0) > len(description):
                raise ModelFileUnsafe(f"{name} cannot be trusted: its description is made to fill memory.")
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        raise ModelFileDamaged(f"{name} is damaged: its description ends early ({error}).") from error


class _Reader(pickle.Unpickler):
    """Builds the tree of modules. Every name that a pickle may call leads to a function here."""

    def __init__(self, description: bytes, archive: Archive, name: str) -> None:
        super().__init__(io.BytesIO(description))
        self._archive = archive
        self._name = name
        self._storages: dict[str, Tensor] = {}

    def load_root(self) -> Unpickled:
        try:
            return self.load()
        except _SENSELESS as error:
            raise ModelFileDamaged(
                f"{self._name} is damaged: its description makes no sense ({error})."
            ) from error

    def find_class(self, module: str, name: str) -> Callable[..., Unpickled]:
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return self._tensor
        if module == "collections" and name == "OrderedDict":
            return OrderedDict
        if module == "torch.jit._pickle" and name in _LISTS:
            return _first
        if module == "torch" and name in _DTYPES:
            return _StorageType(_DTYPES[name])
        if (
            name == "_rebuild_qtensor"
            or name in _QUANTIZED
            or module.startswith("__torch__.torch.classes.quantized")
        ):
            raise QuantizedModel(self._name)
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        raise ModelFileUnsafe(
            f"{self._name} cannot be trusted: it would import {module}.{name}, which no network needs. "
            "Nothing of it was run."
        )

    def persistent_load(self, pid: Unpickled) -> Tensor:
        """(numel,) the numbers of a storage."""
        kind, stored, key, _, numel = pid
        if kind != "storage" or not isinstance(stored, _StorageType) or not isinstance(key, str):
            raise ValueError("a reference to something that is no storage")
        if key not in self._storages:
            numbers = bytearray(self._archive.storage(key))
            if len(numbers) != numel * stored.dtype.itemsize:
                raise ValueError(f"storage {key!r:.40} has {len(numbers)} bytes for {numel} numbers")
            empty = torch.empty(0, dtype=stored.dtype)
            self._storages[key] = torch.frombuffer(numbers, dtype=stored.dtype) if numbers else empty
        return self._storages[key]

    def _tensor(
        self, storage: Unpickled, offset: Unpickled, size: Unpickled, stride: Unpickled, *_: Unpickled
    ) -> Tensor:
        """The part of a storage that a tensor is; never more numbers than the storage has."""
        numbers = (offset, *size, *stride)
        if not isinstance(storage, Tensor) or not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise ValueError("a tensor of impossible measures")
        count = 1
        for side in size:
            count *= side
        last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
        if count and (last >= len(storage) or count > len(storage)):
            raise ValueError(f"a tensor of {count} numbers in a storage of {len(storage)}")
        return storage.as_strided(size, stride, offset)


class _StorageType:
    """Stands for a storage class of torch's."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype

    def __call__(self, *_: Unpickled) -> Unpickled:
        raise ValueError("a storage is no function")


def _first(value: Unpickled, *_: Unpickled) -> Unpickled:
    return value


def _named(root: Unpickled, name: str) -> dict[str, Tensor]:
    """Every tensor below `root`, by its path."""
    tensors: dict[str, Tensor] = {}
    ahead: list[tuple[tuple[str, ...], Unpickled]] = [((), root)]
    seen = 0
    while ahead:
        path, node = ahead.pop()
        seen += 1
        if seen > _MOST_NODES or len(path) > _DEEPEST:
            raise ModelFileUnsafe(f"{name} cannot be trusted: its modules are nested without an end.")
        if isinstance(node, Tensor):
            tensors[".".join(path)] = node
        elif isinstance(node, _Module) and isinstance(node.attributes, dict):
            below = [((*path, str(key)), value) for key, value in node.attributes.items()]
            ahead.extend(reversed(below))
    return tensors
