"""The OpenAPI document: FastAPI's, with the errors and bodies that it cannot know of.

Programs write clients from it, so what the code generators of several languages make of it decides between
ways to say the same (docs/clients.md).
"""

from typing import Any

from pydantic import BaseModel

from emserve.jobs import Problem, Provenance
from emserve.params import Parameters
from service.measures import Objects

Fragment = dict[str, Any]  # a part of an OpenAPI document, free-form by nature

_REF = "#/components/schemas/{model}"
_ALWAYS = ("403", "431", "500")


def ref(model: str) -> Fragment:
    """A schema by its name."""
    return {"$ref": _REF.format(model=model)}


def header(text: str, *, required: bool = True, kind: str = "string") -> Fragment:
    """A header of an answer; `required` ones are always there."""
    return {"description": text, "required": required, "schema": {"type": kind}}


def _condition(name: str, text: str) -> Fragment:
    return {
        "name": name,
        "in": "header",
        "required": False,
        "description": text,
        "schema": {"type": "string"},
    }


OBJECT_HEADERS = {
    "ETag": header("Another one for other bytes"),
    "Accept-Ranges": header("`bytes`"),
    "Cache-Control": header("How long it may be kept; what is still written must be asked for again"),
}
FILE_HEADERS = {
    **OBJECT_HEADERS,
    "ETag": header("The file's SHA-256, quoted"),
    "Cache-Control": header("It may be kept for ever: a result never changes"),
    "Vary": header("`Accept`"),
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
JOB_HEADERS = {
    "Preference-Applied": header("`wait=N`, where waiting was asked for", required=False),
    "Retry-After": header(
        "Of a job that has not ended, seconds until the next look", required=False, kind="integer"
    ),
}
_REQUEST_ID = {"X-Request-ID": {"$ref": "#/components/headers/RequestId"}}
TAGS: Fragment = {"type": "object", "additionalProperties": {"type": "string"}}
_UPLOAD: Fragment = {
    "title": "Upload",
    "type": "object",
    "required": ["image", "model"],
    "additionalProperties": False,
    "properties": {
        "image": {
            "type": "string",
            "format": "binary",
            "description": "TIFF, MRC, PNG or JPEG; a zip of slices or of an OME-Zarr",
        },
        "model": {"type": "string", "description": "`name` or `name@version`"},
        "params": ref("Parameters"),
        "tags": TAGS,
    },
}


def _problem(headers: Fragment) -> Fragment:
    return {
        "description": "A problem (RFC 9457); docs/problems.md explains each type",
        "headers": {**_REQUEST_ID, **headers},
        "content": {"application/problem+json": {"schema": ref("Problem")}},
    }


_RESPONSES = {
    "Problem": _problem({}),
    "NotReady": _problem(
        {"Retry-After": header("Where waiting helps, seconds", required=False, kind="integer")}
    ),
    "Unsupported": _problem(
        {"Accept-Encoding": header("`identity`, where the body was encoded", required=False)}
    ),
    "NoSuchRange": _problem({"Content-Range": header("`bytes */1000`, the file's size")}),
    "Unavailable": _problem(RETRY),
}
_BY_STATUS = {"409": "NotReady", "415": "Unsupported", "416": "NoSuchRange", "503": "Unavailable"}
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


def describe(document: Fragment) -> Fragment:
    """`document` with one problem shape for all errors, and schemas of what FastAPI does not see."""
    schemas: Fragment = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    _add(schemas, Problem)  # anew: of its fields those that say nothing are left out of an answer
    _add(schemas, Objects)
    _add(schemas, Provenance, is_answer=True)
    _add_parameters(schemas)
    document["components"] |= {
        "headers": {"RequestId": header("The request's id, also in the log")},
        "responses": _RESPONSES,
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            responses.pop("422", None)
            for response in responses.values():
                response["headers"] = {**_REQUEST_ID, **response.get("headers", {})}
            for status in (*_BY_PATH.get((path, method), ()), *_ALWAYS):
                name = _BY_STATUS.get(status, "Problem")
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return document


def _add(schemas: Fragment, model: type[BaseModel], *, is_answer: bool = False) -> None:
    schema = model.model_json_schema(ref_template=_REF, mode="serialization" if is_answer else "validation")
    schemas |= schema.pop("$defs", {})
    schemas[model.__name__] = schema


def _add_parameters(schemas: Fragment) -> None:
    """What may be sent, and what a job shows: all of them, and those that later versions add."""
    shown = schemas.pop("Parameters")
    del shown["additionalProperties"]
    shown |= {
        "title": "JobParameters",
        "description": "Every parameter, with the value that the job runs with.",
    }
    sent = Parameters.model_json_schema(ref_template=_REF)
    for each in (*shown["properties"].values(), *sent["properties"].values()):
        # Clients are made that send what they find here, and a model's own defaults are others.
        each.pop("default", None)
    sent["description"] = (
        "What may be chosen for a job. What is left out takes the model's own default, which is in its "
        "`parameters_schema`, and for volumes in its `stack_defaults`."
    )
    schemas |= {"Parameters": sent, "JobParameters": shown, "Upload": _UPLOAD}
    for name in ("Job", "Provenance"):
        schemas[name]["properties"]["params"] = ref("JobParameters")
