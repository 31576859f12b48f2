"""Results of a job: label map, objects, preview, provenance."""

import asyncio
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from emserve import storage
from emserve.errors import ChunkNotFound, HelperDied, NotAcceptable
from emserve.imaging import ResultFormat
from service.deps import JobId, RegionQuery, ResourcesDep
from service.fields import listed
from service.files import file_answer, from_store, object_answer
from service.openapi import CONDITIONS, FILE_HEADERS, OBJECT_HEADERS, Fragment, header, ref
from service.resources import Resources
from service.results import Excerpt, class_chunk, download_name, finished, part, rendered, stored_object

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["results"])

FormatT = TypeVar("FormatT", bound=str)
LabelsFormat = Literal["ome-tiff", "tiff", "npy", "png", "zarr"]
ObjectsFormat = Literal["json", "csv"]

# The first of each is what comes where anything will do.
_LABELS_TYPES: dict[str, LabelsFormat] = {
    "image/tiff": "ome-tiff",
    "image/png": "png",
    "application/x-npy": "npy",
    "application/zip": "zarr",
}
_OBJECTS_TYPES: dict[str, ObjectsFormat] = {
    "application/json": "json",
    "text/csv": "csv",
}
_BINARY = {"type": "string", "format": "binary"}


def _files(
    types: dict[str, Fragment], headers: Fragment = FILE_HEADERS
) -> Any:  # FastAPI wants another type of dictionary
    """What an operation answers that serves files of these media types, each with its schema."""
    whole = {name: {"schema": schema} for name, schema in types.items()}
    return {
        200: {"content": whole, "headers": headers, "description": "The file"},
        206: {
            "content": {name: {"schema": _BINARY} for name in types},  # a part of JSON is none
            "headers": {**headers, "Content-Range": header("`bytes 0-99/1000`")},
            "description": "The range of it that was asked for",
        },
        304: {"headers": headers, "description": "Unchanged since the entity tag given"},
    }


OnlyClass = Annotated[
    str | None,
    Query(
        alias="class", description="Name or id of a class: only its objects, under the labels that they have."
    ),
]


@router.get(
    "/labels",
    response_class=Response,
    responses=_files(
        {
            "image/tiff": _BINARY,
            "image/png": _BINARY,
            "application/x-npy": _BINARY,
            "application/zip": _BINARY,
        }
    ),
    openapi_extra=CONDITIONS,
)
async def labels(
    request: Request,
    job_id: JobId,
    resources: ResourcesDep,
    region: RegionQuery,
    format: Annotated[LabelsFormat | None, Query(description="Wins over Accept.")] = None,  # noqa: A002 - the API\'s name
    only_class: OnlyClass = None,
) -> Response:
    """The label map: background 0, objects 1 to n; or a region of it, or the objects of one class in it."""
    wanted = ResultFormat(format or _negotiate(listed(request, "accept"), _LABELS_TYPES, "labels"))
    if wanted is ResultFormat.ZARR and not region.is_whole:
        raise NotAcceptable(
            "A region comes as ome-tiff, tiff, npy or png; of the Zarr, chunks can be read one by one under "
            f"/v1/jobs/{job_id}/labels.zarr/."
        )
    if region.is_whole:
        return await _result(request, resources, job_id, wanted, Excerpt(only_class=only_class))
    file, read = await part(request, resources, job_id, wanted, region, only_class)
    record = await asyncio.to_thread(resources.book.record, job_id)
    name = download_name(record, ["labels", *Excerpt(only_class).name, region.name], file.extension)
    return file_answer(request, read, file, name)


@router.get(
    "/labels.zarr/{path:path}",
    response_class=Response,
    responses=_files(
        {"application/json": {"type": "object"}, "application/octet-stream": _BINARY}, OBJECT_HEADERS
    ),
    openapi_extra=CONDITIONS,
)
async def labels_zarr(
    request: Request,
    job_id: JobId,
    path: Annotated[str, PathParameter(description="`zarr.json`, `0/zarr.json`, `0/c/0/0/0` …")],
    resources: ResourcesDep,
    only_class: OnlyClass = None,
) -> Response:
    """The label map as it is stored, an OME-Zarr 0.5, object by object; also while it is being written. Once
    it is whole, also what one class has of it."""
    if only_class is not None:
        file, read = await class_chunk(request, resources, job_id, path, only_class)
        return file_answer(request, read, file, filename=None)
    key, is_final = await asyncio.to_thread(stored_object, resources, job_id, path)
    answer = await object_answer(request, resources.store, key, is_final)
    if answer is None:
        raise ChunkNotFound(job_id, path)
    return answer


@router.get(
    "/objects",
    response_class=Response,
    responses=_files({"application/json": ref("Objects"), "text/csv": {"type": "string"}}),
    openapi_extra=CONDITIONS,
)
async def objects(
    request: Request,
    job_id: JobId,
    resources: ResourcesDep,
    format: Annotated[ObjectsFormat | None, Query(description="Wins over Accept.")] = None,  # noqa: A002 - the API\'s name
    only_class: OnlyClass = None,
) -> Response:
    """A row per object with its measures; lengths in pixels and, where the size is known, nanometres."""
    wanted = format or _negotiate(listed(request, "accept"), _OBJECTS_TYPES, "objects")
    return await _result(request, resources, job_id, ResultFormat(wanted), Excerpt(only_class=only_class))


@router.get(
    "/preview.png",
    response_class=Response,
    responses=_files({"image/png": _BINARY}),
    openapi_extra=CONDITIONS,
)
async def preview(
    request: Request,
    job_id: JobId,
    resources: ResourcesDep,
    z: Annotated[int | None, Query(ge=0, description="Of a volume, the slice to show.")] = None,
) -> Response:
    """The image with each object outlined in a colour of its own, at most 1024 pixels a side; of a volume one
    slice, or three planes through the middle."""
    return await _result(request, resources, job_id, ResultFormat.PREVIEW, Excerpt(z=z))


@router.get(
    "/provenance",
    response_class=Response,
    responses={200: {"content": {"application/json": {"schema": ref("Provenance")}}}},
)
def provenance(job_id: JobId, resources: ResourcesDep) -> Response:
    """What ran: checksums of input and weights, parameters, software, device, seconds by stage."""
    _, _, execution_id = finished(resources, job_id)
    key = storage.provenance_key(job_id, execution_id)
    with resources.book.unless_deleted(job_id):
        value = storage.read(resources.store, key)
        if value is None:
            raise HelperDied(f"The record of what ran ({key}) is not in storage.")
    return Response(value, media_type="application/json")


async def _result(
    request: Request,
    resources: Resources,
    job_id: str,
    wanted: ResultFormat,
    excerpt: Excerpt,
) -> Response:
    file = await rendered(request, resources, job_id, wanted, excerpt)
    record = await asyncio.to_thread(resources.book.record, job_id)
    what = request.url.path.rsplit("/", 1)[1].removesuffix(file.extension)
    name = download_name(record, [what, *excerpt.name], file.extension)
    return file_answer(request, from_store(resources.store, file.key), file, name)


def _negotiate(accept: str | None, types: dict[str, FormatT], what: str) -> FormatT:
    """The format that `accept` likes best (RFC 9110, section 12.5.1); of equals the one it names first."""
    ranges = [_media_range(each) for each in (accept or "*/*").split(",")]
    liked = [
        (-quality, place, media_type)
        for media_type in types
        for quality, place in [_liking(media_type, ranges)]
        if quality > 0
    ]
    if not liked:
        raise NotAcceptable(
            f"No format of {what} fits Accept: {accept!r:.200}. Media types: {', '.join(types)}; "
            "`?format=` chooses too."
        )
    return types[min(liked, key=lambda each: each[:2])[2]]


def _liking(media_type: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """The quality of the range that fits a media type most closely, and that range's place."""
    closest = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    for pattern in closest:
        for place, (name, quality) in enumerate(ranges):
            if name == pattern:
                return quality, place
    return 0.0, 0


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
