"""What programs that write clients make of the contract depends on more than its truth."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emserve.params import Parameters

Fragment = Any  # a part of an OpenAPI document, free-form by nature


@pytest.fixture(scope="module")
def document() -> Fragment:
    return json.loads((Path(__file__).parents[2] / "openapi" / "openapi.json").read_text())


def _operations(document: Fragment) -> Iterator[tuple[str, Fragment]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def _parts(value: Fragment) -> Iterator[dict[str, Fragment]]:
    """Every object in a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _parts(each)


def test_no_value_is_of_two_types(document: Fragment) -> None:
    enums = [part["enum"] for part in _parts(document) if "enum" in part]
    assert enums
    assert [values for values in enums if len({type(each) for each in values}) > 1] == []


def test_what_is_not_said_is_not_sent(document: Fragment) -> None:
    """A client that sends every default would override those of the model."""
    sent = document["components"]["schemas"]["Parameters"]
    assert sent["properties"].keys() == Parameters.model_fields.keys()
    assert [name for name, each in sent["properties"].items() if "default" in each] == []
    assert "required" not in sent
    assert sent["additionalProperties"] is False


def test_every_parameter_says_what_it_does(document: Fragment) -> None:
    sent = document["components"]["schemas"]["Parameters"]["properties"]
    assert [name for name, each in sent.items() if len(each["description"]) < 30] == []


def test_a_job_may_show_more_than_a_client_knows(document: Fragment) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Job"]["properties"]["params"] == {"$ref": "#/components/schemas/JobParameters"}
    for name in ("Job", "JobParameters", "JobResult", "ObjectMeasures", "Model", "Provenance"):
        assert schemas[name].get("additionalProperties") is not False, name


@pytest.mark.parametrize("name", ["Job", "JobPage", "JobParameters", "Model", "Provenance", "Readiness"])
def test_what_always_comes_is_required(document: Fragment, name: str) -> None:
    schema = document["components"]["schemas"][name]
    assert set(schema["required"]) == set(schema["properties"])


def test_json_in_an_address_is_called_json(document: Fragment) -> None:
    """As text, the name `params` breaks the clients of openapi-python-client, which has a variable of it."""
    parameters = {each["name"]: each for each in document["paths"]["/v1/jobs"]["post"]["parameters"]}
    for name in ("params", "tags"):
        assert list(parameters[name]["content"]) == ["application/json"]
        assert "schema" not in parameters[name]


def test_operations_have_names_to_read(document: Fragment) -> None:
    names = [operation["operationId"] for _, operation in _operations(document)]
    assert len(set(names)) == len(names)
    assert {"create_job", "read_job", "list_jobs", "cancel_job", "delete_job", "labels", "objects"} <= set(
        names
    )


def test_every_body_of_a_success_has_a_schema(document: Fragment) -> None:
    bare = [
        f"{name} {status} {media_type}"
        for name, operation in _operations(document)
        for status, response in operation["responses"].items()
        for media_type, content in response.get("content", {}).items()
        if not content.get("schema")
    ]
    assert bare == []
