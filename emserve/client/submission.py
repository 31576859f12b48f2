"""What is asked for one image: model, parameters, tags."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from emserve.client.errors import InvalidParameters
from emserve.params import Parameters

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


def make_parameters(given: ParametersLike | None) -> Parameters:
    """`given` as checked parameters; InvalidParameters names each fault."""
    if isinstance(given, Parameters):
        return given
    try:
        return Parameters.model_validate(dict(given or {}))
    except ValidationError as error:
        raise InvalidParameters(_explain(error)) from error


def _explain(error: ValidationError) -> str:
    faults: dict[str, list[str]] = {}
    for each in error.errors(include_url=False):
        name = str(each["loc"][0]) if each["loc"] else "params"
        if each["type"] == "extra_forbidden":
            message = f"there is no such parameter; there are {', '.join(Parameters.model_fields)}"
        else:
            message = each["msg"][:1].lower() + each["msg"][1:]
            if name not in faults:  # of a union's branches, the first tells what was given
                message += f", not {each['input']!r:.80}"
        faults.setdefault(name, []).append(message)
    return " ".join(f"{name}: {'; or '.join(messages)}." for name, messages in faults.items())
