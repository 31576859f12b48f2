"""What others wrote: another version of the service, or a process that died while it did."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

Known = TypeVar("Known", bound=BaseModel)


def understood(kind: type[Known], value: bytes | str) -> Known | None:
    """`value` as a `kind`; None for what is damaged, or what another version wrote and this one does not
    understand."""
    try:
        return kind.model_validate_json(value)
    except ValidationError:
        return None
