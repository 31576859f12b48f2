"""The OpenAPI document: FastAPI's, with the errors and bodies that it cannot know of."""

from typing import Any

from emserve.jobs import Problem
from emserve.params import Parameters

_REF = "#/components/schemas/{model}"
_PROBLEM = {
    "description": "A problem (RFC 9457); docs/problems.md explains each type",
    "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
}
_ALWAYS = ("403", "500")
_BY_PATH: dict[tuple[str, str], tuple[str, ...]] = {
    ("/v1/jobs", "post"): ("400", "413", "415", "422", "503", "507"),
    ("/v1/jobs", "get"): ("422", "503"),
    ("/v1/jobs/{job_id}", "get"): ("404", "410", "422", "503"),
    ("/v1/jobs/{job_id}", "delete"): ("404", "503"),
    ("/v1/jobs/{job_id}/cancel", "post"): ("404", "410", "503"),
    ("/v1/jobs/{job_id}/labels", "get"): ("404", "406", "409", "410", "416", "422", "503"),
    ("/v1/jobs/{job_id}/objects", "get"): ("404", "406", "409", "410", "416", "422", "503"),
    ("/v1/jobs/{job_id}/preview.png", "get"): ("404", "409", "410", "416", "503"),
    ("/v1/jobs/{job_id}/provenance", "get"): ("404", "409", "410", "503"),
    ("/v1/models/{reference}", "get"): ("404",),
    ("/readyz", "get"): ("422", "503"),
}


def describe(document: dict[str, Any]) -> dict[str, Any]:  # an OpenAPI document, free-form by nature
    """`document` with one problem shape for all errors and the schema of the parameters."""
    schemas = document["components"]["schemas"]
    for model in (Problem, Parameters):
        schema = model.model_json_schema(ref_template=_REF)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            responses.pop("422", None)
            for status in (*_BY_PATH.get((path, method), ()), *_ALWAYS):
                responses[status] = _PROBLEM
    return document
