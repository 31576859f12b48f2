"""What is said of a value that a field cannot have: in our words, wherever the value came from."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails


def said_as(words: str) -> WrapValidator:
    """`words`, whatever is wrong with a value that may have several forms, or that a pattern describes.

    Pydantic would tell of each form apart, and show the pattern.
    """

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        try:
            return handler(value)
        except ValidationError as error:
            raise ValueError(words) from error

    return WrapValidator(check)


def words_of(error: ErrorDetails | Mapping[str, Any]) -> str:
    """What a fault that pydantic found is; begins with a small letter and has no stop."""
    message = str(error["msg"])
    if error["type"] == "value_error":  # pydantic puts its own words before those of a ValueError
        message = str(error["ctx"]["error"])
    return message[:1].lower() + message[1:]
