"""What is asked for one image: model, parameters, tags."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from emserve.client.errors import InvalidParameters
from emserve.jobs import Tags
from emserve.params import Parameters
from emserve.wording import words_of

_TAGS: TypeAdapter[dict[str, str]] = TypeAdapter(Tags)
ParametersLike = Parameters | Mapping[str, object]


@dataclass(frozen=True)
class Submission:
    """Checked before a byte of the image is sent."""

    model: str
    params: Parameters
    tags: Mapping[str, str]

    def query(self, filename: str) -> Mapping[str, str]:
        """As a raw upload's query. Only what the caller chose is said: the rest is the model's to choose."""
        query = {"model": self.model, "filename": filename}
        if self.params.model_fields_set:
            query["params"] = self.params.model_dump_json(exclude_unset=True)
        if self.tags:
            query["tags"] = json.dumps(dict(self.tags))
        return query


def make_submission(model: str, params: ParametersLike | None, tags: Mapping[str, str] | None) -> Submission:
    """What is asked for, checked; InvalidParameters names each fault."""
    if not isinstance(model, str):
        raise InvalidParameters(
            f"A model is named by its id, such as mitonet@starter; not by a {type(model).__name__}."
        )
    return Submission(model, make_parameters(params), make_tags(tags or {}))


def make_tags(given: Mapping[str, str]) -> dict[str, str]:
    """`given` as checked tags. Raises InvalidParameters."""
    try:
        return _TAGS.validate_python(given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidParameters(f"tags: {words_of(first)}, not {first['input']!r:.80}.") from error


def make_parameters(given: ParametersLike | None) -> Parameters:
    """`given` as checked parameters; InvalidParameters names each fault."""
    if isinstance(given, Parameters):
        return given
    if not isinstance(given, Mapping | None):
        raise InvalidParameters(
            f'Parameters are a dictionary, such as {{"downsampling": 2}}, or Parameters; not {given!r:.80}.'
        )
    try:
        return Parameters.model_validate(dict(given or {}))
    except ValidationError as error:
        raise InvalidParameters(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    return " ".join(_told(each) for each in error.errors(include_url=False))


def _told(fault: ErrorDetails) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "params"
    if fault["type"] == "extra_forbidden":
        return f"{name}: there is no such parameter; there are {', '.join(Parameters.model_fields)}."
    return f"{name}: {words_of(fault)}, not {fault['input']!r:.80}."
