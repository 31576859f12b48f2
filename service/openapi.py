"""The OpenAPI document: FastAPI's, with the errors and bodies that it cannot know of."""

from typing import Any

from emserve.jobs import Problem
from emserve.params import Parameters

_REF = "#/components/schemas/{model}"
_ALWAYS = ("403", "500")


def header(text: str, *, required: bool = True, kind: str = "string") -> dict[str, Any]:
    """A header of an answer; `required` ones are always there."""
    return {"description": text, "required": required, "schema": {"type": kind}}


def _condition(name: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": text,
        "schema": {"type": "string"},
    }


OBJECT_HEADERS = {"ETag": header("Another one for other bytes"), "Accept-Ranges": header("`bytes`")}
FILE_HEADERS = {
    **OBJECT_HEADERS,
    "ETag": header("The file's SHA-256, quoted"),
    "Repr-Digest": header("The whole file's SHA-256 (RFC 9530)"),
    "Content-Disposition": header("The name to save the file by"),
}
CONDITIONS = {
    "parameters": [
        _condition("Range", "`bytes=0-99`: a part of the file"),
        _condition("If-Range", "The part only if this entity tag is still the file's"),
        _condition("If-None-Match", "304 if this entity tag is still the file's"),
    ]
}
RETRY = {"Retry-After": header("Seconds until asking again makes sense", kind="integer")}
_REQUEST_ID = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
_PROBLEM = {
    "description": "A problem (RFC 9457); docs/problems.md explains each type",
    "headers": _REQUEST_ID,
    "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}},
}
_UNAVAILABLE = {**_PROBLEM, "headers": {**_REQUEST_ID, **RETRY}}
_BY_PATH: dict[tuple[str, str], tuple[str, ...]] = {
    ("/v1/jobs", "post"): ("400", "408", "413", "415", "422", "503", "507"),
    ("/v1/jobs", "get"): ("422", "503"),
    ("/v1/jobs/{job_id}", "get"): ("404", "410", "422", "503"),
    ("/v1/jobs/{job_id}", "delete"): ("404", "422", "503", "507"),
    ("/v1/jobs/{job_id}/cancel", "post"): ("404", "410", "422", "503", "507"),
    ("/v1/jobs/{job_id}/labels", "get"): ("404", "406", "409", "410", "416", "422", "503", "507"),
    ("/v1/jobs/{job_id}/objects", "get"): ("404", "406", "409", "410", "416", "422", "503", "507"),
    ("/v1/jobs/{job_id}/labels.zarr/{path}", "get"): ("404", "409", "410", "416", "422", "503", "507"),
    ("/v1/jobs/{job_id}/preview.png", "get"): ("404", "409", "410", "416", "422", "503", "507"),
    ("/v1/jobs/{job_id}/provenance", "get"): ("404", "409", "410", "422", "503"),
    ("/v1/models", "get"): ("422",),
    ("/v1/models/{reference}", "get"): ("404", "422"),
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
    document["components"] |= {
        "headers": {"RequestId": header("The request's id, also in the log")},
        "responses": {"Problem": _PROBLEM, "Unavailable": _UNAVAILABLE},
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            responses.pop("422", None)
            for response in responses.values():
                response["headers"] = {**_REQUEST_ID, **response.get("headers", {})}
            for status in (*_BY_PATH.get((path, method), ()), *_ALWAYS):
                name = "Unavailable" if status == "503" else "Problem"
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return document
