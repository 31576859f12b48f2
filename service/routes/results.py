"""Results of a job: label map, objects, preview, provenance."""

import asyncio
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Header, Query, Request, Response

from emserve import storage
from emserve.errors import NotAcceptable
from emserve.imaging import ResultFormat
from service.deps import JobId, ResourcesDep
from service.files import stored_file
from service.openapi import CONDITIONS, FILE_HEADERS, header
from service.resources import Resources
from service.results import download_name, finished, rendered

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"])

FormatT = TypeVar("FormatT", bound=str)
LabelsFormat = Literal["ome-tiff", "tiff", "npy", "png"]
ObjectsFormat = Literal["json", "csv"]

_LABELS_TYPES: dict[str, LabelsFormat] = {
    "*/*": "ome-tiff",
    "image/*": "ome-tiff",
    "image/tiff": "ome-tiff",
    "image/png": "png",
    "application/x-npy": "npy",
}
_OBJECTS_TYPES: dict[str, ObjectsFormat] = {
    "*/*": "json",
    "application/*": "json",
    "application/json": "json",
    "text/*": "csv",
    "text/csv": "csv",
}
_BINARY = {"type": "string", "format": "binary"}
_OBJECTS_SCHEMA = {
    "type": "object",
    "required": ["count", "objects"],
    "properties": {
        "count": {"type": "integer", "minimum": 0},
        "objects": {"type": "array", "items": {"type": "object", "description": "The measures"}},
    },
}


def _files(types: dict[str, dict[str, Any]]) -> Any:  # OpenAPI fragments, free-form by nature
    """What an operation answers that serves files of these media types, each with its schema."""
    whole = {name: {"schema": schema} for name, schema in types.items()}
    part: dict[str, Any] = {name: {} for name in types}
    return {
        200: {"content": whole, "headers": FILE_HEADERS, "description": "The file"},
        206: {
            "content": part,
            "headers": {**FILE_HEADERS, "Content-Range": header("`bytes 0-99/1000`")},
            "description": "The range of it that was asked for",
        },
        304: {"headers": FILE_HEADERS, "description": "Unchanged since the entity tag given"},
    }


Accept = Annotated[str | None, Header(include_in_schema=False)]
OnlyClass = Annotated[
    str | None,
    Query(
        alias="class", description="Name or id of a class: only its objects, under the labels that they have."
    ),
]


@router.get(
    "/labels",
    response_class=Response,
    responses=_files({"image/tiff": _BINARY, "image/png": _BINARY, "application/x-npy": _BINARY}),
    openapi_extra=CONDITIONS,
)
async def labels(
    request: Request,
    job_id: JobId,
    resources: ResourcesDep,
    format: Annotated[LabelsFormat | None, Query(description="Wins over Accept.")] = None,  # noqa: A002 - the API\'s name
    only_class: OnlyClass = None,
    accept: Accept = None,
) -> Response:
    """The label map: background 0, objects 1 to n; or the objects of one class in it."""
    wanted = format or _negotiate(accept, _LABELS_TYPES, "labels")
    return await _result(request, resources, job_id, ResultFormat(wanted), "labels", only_class)


@router.get(
    "/objects",
    response_class=Response,
    responses=_files({"application/json": _OBJECTS_SCHEMA, "text/csv": {"type": "string"}}),
    openapi_extra=CONDITIONS,
)
async def objects(
    request: Request,
    job_id: JobId,
    resources: ResourcesDep,
    format: Annotated[ObjectsFormat | None, Query(description="Wins over Accept.")] = None,  # noqa: A002 - the API\'s name
    only_class: OnlyClass = None,
    accept: Accept = None,
) -> Response:
    """A row per object with its measures; lengths in pixels and, where the size is known, nanometres."""
    wanted = format or _negotiate(accept, _OBJECTS_TYPES, "objects")
    return await _result(request, resources, job_id, ResultFormat(wanted), "objects", only_class)


@router.get(
    "/preview.png",
    response_class=Response,
    responses=_files({"image/png": _BINARY}),
    openapi_extra=CONDITIONS,
)
async def preview(request: Request, job_id: JobId, resources: ResourcesDep) -> Response:
    """The image with each object outlined in a colour of its own, at most 1024 pixels a side."""
    return await _result(request, resources, job_id, ResultFormat.PREVIEW, "preview")


@router.get("/provenance", response_class=Response, responses={200: {"content": {"application/json": {}}}})
def provenance(job_id: JobId, resources: ResourcesDep) -> Response:
    """What ran: checksums of input and weights, parameters, software, device, seconds by stage."""
    _, _, execution_id = finished(resources, job_id)
    with resources.book.unless_deleted(job_id):
        value = storage.read(resources.store, storage.provenance_key(job_id, execution_id))
    return Response(value, media_type="application/json")


async def _result(
    request: Request,
    resources: Resources,
    job_id: str,
    wanted: ResultFormat,
    part: str,
    only_class: str | None = None,
) -> Response:
    file = await rendered(resources, request.state.flight, job_id, wanted, only_class)
    record = await asyncio.to_thread(resources.book.record, job_id)
    return await stored_file(request, resources.store, file, download_name(record, part, file.extension))


def _negotiate(accept: str | None, types: dict[str, FormatT], what: str) -> FormatT:
    """The format of the best media range in `accept` (RFC 9110, section 12.5.1)."""
    ranges = [_media_range(each) for each in (accept or "*/*").split(",")]
    for media_type, quality in sorted(ranges, key=lambda each: -each[1]):
        if quality > 0 and media_type in types:
            return types[media_type]
    raise NotAcceptable(
        f"No format of {what} fits Accept: {accept!r:.200}. Media types: {', '.join(types)}; "
        "`?format=` chooses too."
    )


def _media_range(text: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip() for part in text.lower().split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name == "q":
            try:
                return media_type, float(value)
            except ValueError:
                return media_type, 0.0
    return media_type, 1.0
