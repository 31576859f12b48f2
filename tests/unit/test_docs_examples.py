"""The examples beside the contract are what it says."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types

_OPENAPI = Path(__file__).parents[2] / "openapi"
_SCHEMAS = {
    "params.json": "Parameters",
    "job-queued.json": "Job",
    "job.json": "Job",
    "problem.json": "Problem",
    "model.json": "Model",
    "objects.json": "Objects",
    "provenance.json": "Provenance",
}


def _example(name: str) -> Any:  # a body as any client sees it
    return json.loads((_OPENAPI / "examples" / name).read_text())


@pytest.mark.parametrize(("name", "schema"), _SCHEMAS.items())
def test_an_example_fits_its_schema(name: str, schema: str) -> None:
    components = json.loads((_OPENAPI / "openapi.json").read_text())["components"]
    validator = Draft202012Validator({"$ref": f"#/components/schemas/{schema}", "components": components})
    assert [error.message for error in validator.iter_errors(_example(name))] == []


def test_the_examples_are_of_one_job() -> None:
    job, objects, provenance = (_example(name) for name in ("job.json", "objects.json", "provenance.json"))
    assert job["status"] == "succeeded"
    assert _example("job-queued.json")["id"] == job["id"] == provenance["job_id"]
    assert len(objects["objects"]) == objects["count"] == job["result"]["objects"] > 0
    assert _example("params.json").items() <= job["params"].items()


def test_no_example_is_without_a_test() -> None:
    names = {path.name for path in (_OPENAPI / "examples").glob("*.json")}
    assert names == set(_SCHEMAS)


@pytest.mark.parametrize("path", sorted((_OPENAPI / "examples").glob("*.json")), ids=lambda path: path.name)
def test_no_example_names_a_folder_of_the_machine_it_was_made_on(path: Path) -> None:
    text = path.read_text()
    assert [root for root in ("/home/", "/root/", "/tmp/", "file://") if root in text] == []
