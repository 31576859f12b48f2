"""The yaml beside a model that was exported from empanada: what its numbers mean."""

from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from emserve.cards import Norms
from emserve.installer.conversion import Conversion
from emserve.installer.errors import ConfigInvalid

_MOST_BYTES = 1024**2
_MOST_CLASSES = 200  # a class is 8 bits in the class map


def _single(value: object) -> object:
    """A list of one, as of an image's only channel, is its value."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


class _ExportedNorms(Norms):
    mean: Annotated[float, BeforeValidator(_single), Field(ge=0, le=1)]
    std: Annotated[float, BeforeValidator(_single), Field(gt=0, le=1)]


class ExportedConfig(BaseModel):
    """What emserve needs to know of a model. Other fields of the file are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    class_names: dict[int, str]
    """Class id, 1 and up, to name."""
    labels: list[int]
    """All class ids."""
    thing_list: list[int]
    """Classes that have instances."""
    norms: _ExportedNorms
    padding_factor: Annotated[int, Field(ge=1, le=4096)]

    @field_validator("class_names")
    @classmethod
    def _named(cls, names: dict[int, str]) -> dict[int, str]:
        if any(not name.strip() for name in names.values()):
            raise ValueError("a class has an empty name")
        if len(set(names.values())) < len(names):
            raise ValueError("two classes have the same name")
        return names

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ConfigInvalid, which lists all faults, and OSError."""
        given = _mapping(path)
        try:
            config = cls.model_validate(given)
        except ValidationError as error:
            raise ConfigInvalid(path.name, [_fault(each) for each in error.errors()]) from error
        faults = config.contradictions()
        if faults:
            raise ConfigInvalid(path.name, faults)
        return config

    def contradictions(self) -> list[str]:
        """What does not go together."""
        ids, faults = sorted(self.labels), []
        if ids != list(range(1, len(ids) + 1)) or not 1 <= len(ids) <= _MOST_CLASSES:
            faults.append(f"labels are {self.labels}, and must be 1 to n, each once, at most {_MOST_CLASSES}")
        if sorted(self.class_names) != ids:
            faults.append(f"class_names name {sorted(self.class_names)}, labels are {ids}")
        if strangers := sorted(set(self.thing_list) - set(ids)):
            faults.append(f"thing_list has {strangers}, which labels do not")
        return faults

    def require_classes_of(self, conversion: Conversion, name: str) -> None:
        """Raises ConfigInvalid when the network cannot have these classes."""
        if not conversion.has_classes(len(self.labels)):
            fault = (
                f"labels are {self.labels}, for which a network has one semantic channel per class and one "
                f"for the background (a single class may do without), and this one has {conversion.channels}"
            )
            raise ConfigInvalid(name, [fault])


def _mapping(path: Path) -> dict[str, Any]:  # whatever somebody wrote
    content = path.read_bytes()
    if len(content) > _MOST_BYTES:
        raise ConfigInvalid(path.name, [f"it has {len(content)} bytes, more than any configuration"])
    try:
        given = yaml.safe_load(content)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigInvalid(path.name, [f"it is no yaml that can be read: {reason}"]) from error
    if not isinstance(given, dict):
        raise ConfigInvalid(path.name, ["it is no list of fields such as norms, labels and class_names"])
    return {str(key): value for key, value in given.items()}


def _fault(error: Any) -> str:  # pydantic's ErrorDetails, whose input is of any type
    where = ".".join(str(step) for step in error["loc"])
    if error["type"] == "missing":
        return f"{where} is missing"
    return f"{where}: {error['msg']} (given: {error['input']!r:.60})"
