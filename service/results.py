"""Result files of a job: rendered once by a process without torch, kept, found again."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from starlette.requests import Request

from emserve import storage
from emserve.errors import ChunkNotFound, FieldError, InvalidRequest, NoResult, ResultNotReady
from emserve.ids import new_id
from emserve.imaging import Render, RenderChunk, RenderedFile, RenderPart, ResultFormat
from emserve.jobs import ImageSource, JobEnd, JobRecord, JobStatus
from emserve.naming import bare_name
from emserve.region import Region
from emserve.scratch import scratch_folder
from service.files import Read, from_disk
from service.resources import Resources

_RENDER_SECONDS = 600.0
_NUMBER = "[0-9]{1,18}"


class SingleFlight:
    """One lock per name while somebody holds it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @contextmanager
    def lock(self, name: str) -> Iterator[asyncio.Lock]:
        lock, users = self._locks.get(name, (asyncio.Lock(), 0))
        self._locks[name] = lock, users + 1
        try:
            yield lock
        finally:
            lock, users = self._locks[name]
            if users == 1:
                del self._locks[name]
            else:
                self._locks[name] = lock, users - 1


def finished(resources: Resources, job_id: str) -> tuple[JobRecord, JobEnd, str]:
    """Record, end and execution id of a succeeded job; blocks.

    Raises JobNotFound, ResultNotReady, or NoResult with the reason why there is none.
    """
    record, end = resources.book.record_and_end(job_id)
    if end is None:
        raise ResultNotReady(
            f"The job {job_id} has not ended yet; GET /v1/jobs/{job_id} shows its progress, and "
            "`Prefer: wait=60` waits for its end."
        )
    if end.status is JobStatus.FAILED:
        reason = end.error.detail if end.error else "no reason is known"
        raise NoResult(f"The job failed: {reason}")
    if end.execution_id is None:
        raise NoResult("The job was cancelled before it had a result.")
    return record, end, end.execution_id


@dataclass(frozen=True)
class Excerpt:
    """What of a result is wanted, where not all of it."""

    only_class: str | None = None
    """Of labels and objects: name or id of a class."""
    z: int | None = None
    """Of a volume's preview: the slice."""

    @property
    def name(self) -> list[str]:
        """What tells its file from that of the whole."""
        only_class = [] if self.only_class is None else [self.only_class]
        return only_class if self.z is None else [*only_class, f"z{self.z}"]


async def rendered(
    request: Request, resources: Resources, job_id: str, wanted: ResultFormat, excerpt: Excerpt
) -> RenderedFile:
    """The result file of a succeeded job, rendered at the first request."""
    record, end, execution_id = await asyncio.to_thread(finished, resources, job_id)
    if excerpt.z is not None:
        Region(z=excerpt.z).box(record.input.shape)
    call = Render(
        storage_url=resources.settings.storage_url,
        job_id=job_id,
        execution_id=execution_id,
        format=wanted,
        source=ImageSource.of(record.params),
        scratch_dir=resources.settings.scratch_dir,
        class_id=None if excerpt.only_class is None else _class_id(end, excerpt.only_class),
        z=excerpt.z,
    )
    flight: SingleFlight = request.state.flight
    with flight.lock(call.key) as lock:
        async with lock:
            # What is there must not wait behind what is still to be rendered.
            if found := await asyncio.to_thread(_find, resources, call):
                return found
            return await resources.renderings.run(request, lambda: _render(resources, call))


def _class_id(end: JobEnd, wanted: str) -> int:
    """The class of that name, or of that number. Raises InvalidRequest."""
    classes = end.result.classes if end.result else {}
    for class_id, name in classes.items():
        if wanted in {name, str(class_id)}:
            return class_id
    known = ", ".join(classes.values()) or "none"
    detail = f"The model of this job has no class {wanted!r:.80}. Its classes: {known}."
    raise InvalidRequest(detail, errors=[FieldError("/query/class", detail)])


def _find(resources: Resources, call: Render) -> RenderedFile | None:
    """The file as it was rendered before."""
    description = storage.read(resources.store, call.description_key)
    return None if description is None else RenderedFile.model_validate_json(description)


def _render(resources: Resources, call: Render) -> RenderedFile:
    with resources.book.unless_deleted(call.job_id):
        return resources.imaging.call(call, timeout_s=_RENDER_SECONDS)


async def part(
    request: Request,
    resources: Resources,
    job_id: str,
    wanted: ResultFormat,
    region: Region,
    only_class: str | None,
) -> tuple[RenderedFile, Read]:
    """A part of the label map of a succeeded job, made for this request, and how to read it."""
    _, end, execution_id = await asyncio.to_thread(finished, resources, job_id)
    if end.result is not None:
        region.box(end.result.shape)
    class_id = None if only_class is None else _class_id(end, only_class)
    return await _made(
        request,
        resources,
        lambda folder: RenderPart(
            storage_url=resources.settings.storage_url,
            job_id=job_id,
            execution_id=execution_id,
            format=wanted,
            region=region,
            class_id=class_id,
            out=folder / wanted.filename,
        ),
    )


async def class_chunk(
    request: Request, resources: Resources, job_id: str, path: str, only_class: str
) -> tuple[RenderedFile, Read]:
    """An object of the label map's Zarr with the labels of one class, made for this request, and how to read
    it. Raises ChunkNotFound where there is none."""
    record, end, execution_id = await asyncio.to_thread(finished, resources, job_id)
    _check_path(record, path)
    class_id = _class_id(end, only_class)
    return await _made(
        request,
        resources,
        lambda folder: RenderChunk(
            storage_url=resources.settings.storage_url,
            job_id=job_id,
            execution_id=execution_id,
            path=path,
            class_id=class_id,
            out=folder / PurePath(path).name,
        ),
    )


async def _made(
    request: Request, resources: Resources, call_in: Callable[[Path], RenderPart | RenderChunk]
) -> tuple[RenderedFile, Read]:
    """What a call makes in a folder that goes as soon as the file is open, and how to read it."""

    def make() -> tuple[RenderedFile, Read]:  # all of it in a thread: whoever makes a folder may wait for it
        with scratch_folder(resources.settings.scratch_dir, f"part-{new_id()}") as folder:
            call = call_in(folder)
            file = resources.imaging.call(call, timeout_s=_RENDER_SECONDS)
            return file, from_disk(call.out)

    return await resources.renderings.run(request, make)


def stored_object(resources: Resources, job_id: str, path: str) -> tuple[str, bool]:
    """Key of an object of the label map's Zarr in storage, which may be missing there, and whether the map is
    whole; blocks.

    Raises JobNotFound, NoResult, ResultNotReady where nothing is written yet, or ChunkNotFound."""
    record, end = resources.book.record_and_end(job_id)
    _check_path(record, path)
    if end is not None:
        _, _, execution_id = finished(resources, job_id)
        return f"{storage.labels_prefix(job_id, execution_id)}/{path}", True
    attempt = resources.book.attempts.latest(job_id)
    prefix = "" if attempt is None else storage.labels_prefix(job_id, attempt.execution_id)
    if not prefix or not storage.exists(resources.store, f"{prefix}/zarr.json"):
        raise ResultNotReady(
            f"The job {job_id} has not begun to write its label map; GET /v1/jobs/{job_id} shows how far it "
            "is."
        )
    return f"{prefix}/{path}", False


def _check_path(record: JobRecord, path: str) -> None:
    """Raises ChunkNotFound for what the Zarr of a label map has in no case. Below a file, or of a very long
    name, even asking would be an error of the storage."""
    axes = len(record.input.shape)
    if not re.fullmatch(rf"zarr\.json|{_NUMBER}/(zarr\.json|c(/{_NUMBER}){{{axes}}})", path):
        raise ChunkNotFound(record.id, path)


def download_name(record: JobRecord, parts: Iterable[str], extension: str) -> str:
    """What a browser saves the file as: cell.mitonet.labels.ome.tif, or cell.mitonet.labels.er.ome.tif of the
    class `er`."""
    said = (re.sub(r"[^\w.-]", "_", part) for part in parts)
    return f"{'.'.join((bare_name(record.input.filename), record.model.name, *said))}{extension}"
