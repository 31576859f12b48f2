"""The client for asyncio."""

import asyncio
import contextlib
import io
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Self

import httpx

from emserve.client import stories
from emserve.client.answer import Answer, Broken
from emserve.client.call import Call, Pause
from emserve.client.draft import draft
from emserve.client.formats import Part, Wanted, format_of
from emserve.client.job_filter import JobFilter
from emserve.client.label_file import read_npy
from emserve.client.model_info import ModelInfo
from emserve.client.payload import CHUNK_BYTES, Image, OnBytes, Payload, open_payload
from emserve.client.segmentation import Labels, Row, Segmentation
from emserve.client.sink import Sink
from emserve.client.stories import OnProgress, Patience, Reply, Story, ValueT
from emserve.client.submission import ParametersLike, make_submission
from emserve.client.wire import Wire
from emserve.jobs import Job, JobStatus


class AsyncClient:
    """Client's methods for asyncio: each is awaited, `jobs` is iterated with `async for`.

    Every method raises ServiceUnreachable when no answer comes, ApiError when the service refuses, and
    UnexpectedAnswer when something else than an emserve answers; all of them are ClientErrors.
    """

    def __init__(self, url: str | None = None, timeout: float = 30.0) -> None:
        """`url`: the service's address; None takes EMSERVE_URL, else http://127.0.0.1:8000.

        `timeout`: seconds of silence after which a call is given up. Waiting for a job, uploads and results,
        which the service works on before it answers, get more.
        """
        self._wire = Wire.to(url, timeout)
        self._http = httpx.AsyncClient(**self._wire.client_options())

    @property
    def url(self) -> str:
        """The service's address."""
        return self._wire.url

    async def submit(
        self,
        image: Image,
        model: str,
        params: ParametersLike | None = None,
        tags: Mapping[str, str] | None = None,
        filename: str | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Job:
        """Sends an image and queues its segmentation; returns the accepted job.

        A path or a binary file is read in pieces while it is sent; a folder, of slices or of an OME-Zarr, is
        sent as a zip. An array of grey values, (H, W) or (Z, H, W), is sent as a TIFF, for which the extra
        `images` is wanted. Parameters that are not given are the model's to choose. A submission is never
        sent twice: after ServiceUnreachable, `jobs` says whether it arrived.
        Raises InvalidParameters, UnusableImage, MissingPackage and OSError before anything is sent.
        """
        submission = make_submission(model, params, tags)
        async with _opened_payload(image, filename, on_bytes) as payload:
            return await self._carry_out(stories.submit(submission, payload))

    async def job(self, job_id: str, wait: float | None = None) -> Job:
        """The job as it is; with `wait` as soon as it has ended, or after that many seconds (60 at most)."""
        return await self._carry_out(stories.read_job(job_id, wait))

    async def jobs(
        self,
        status: JobStatus | str | None = None,
        model: str | None = None,
        tag: str | None = None,
        created_after: datetime | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[Job]:
        """Jobs, newest first, asked for page by page. `tag` is `key:value`; a naive time is local time."""
        wanted = JobFilter(status, model, tag, created_after)
        token: str | None = None
        left = limit
        while left is None or left > 0:
            page = await self._carry_out(stories.read_page(wanted, left, token))
            for job in page.jobs[:left]:
                yield job
            left = None if left is None else left - len(page.jobs)
            token = page.next_page_token
            if token is None:
                return

    async def cancel(self, job_id: str) -> Job:
        """Asks for the job's end; returns it cancelled, cancelling, or unchanged if it had ended."""
        return await self._carry_out(stories.cancel(job_id))

    async def delete(self, job_id: str) -> None:
        """Removes the job for good, with its image and its results; stops it first if it has not ended.

        From then on everything that asks for it raises JobDeleted, only deleting it again does not.
        """
        await self._carry_out(stories.delete(job_id))

    async def wait(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109  # as in Client; after it, the job's state is told
        on_progress: OnProgress | None = None,
    ) -> Job:
        """The job once it has ended, in whatever way: look at its `status`.

        A service that cannot be reached, or is silent, is asked again several times, while there is time.
        `on_progress` is shown the job about four times a second. Raises WaitTimedOut after `timeout` seconds;
        the job goes on.
        """
        return await self._carry_out(stories.await_end(job_id, Patience(timeout, on_progress)))

    async def labels(self, job_id: str, only_class: str | int | None = None) -> Labels:
        """The label map, (H, W) or (Z, H, W), uint8, uint16 or uint32: background 0, objects 1 to n.

        `only_class`, the name or id of a class, leaves out the objects of the others.
        """
        with tempfile.TemporaryFile() as file:
            await self._carry_out(stories.fetch(job_id, Wanted("labels", "npy", only_class), Sink(file)))
            return await asyncio.to_thread(read_npy, file)

    async def objects(self, job_id: str, only_class: str | int | None = None) -> list[Row]:
        """A row per object, of one class if given: its measures by column name, px and nm in the names."""
        return await self._carry_out(stories.read_objects(job_id, only_class))

    async def preview(self, job_id: str) -> bytes:
        """A PNG with each object outlined, at most 1024 pixels a side; of a volume three planes."""
        file = io.BytesIO()
        await self._carry_out(stories.fetch(job_id, Wanted("preview"), Sink(file)))
        return file.getvalue()

    async def provenance(self, job_id: str) -> dict[str, object]:
        """What ran: checksums, parameters, software, device, seconds by stage; its fields grow with time."""
        return await self._carry_out(stories.read_provenance(job_id))

    async def save(
        self,
        job_id: str,
        part: Part,
        path: str | os.PathLike[str],
        format: str | None = None,  # noqa: A002  # the service's own word for it
        only_class: str | int | None = None,
        z: int | None = None,
    ) -> Path:
        """Writes a result to `path`, which appears only once it is complete and its checksum is right.

        `part`: labels, objects, preview or provenance. `format`: as the service names them (ome-tiff, tiff,
        npy, png, zarr; csv, json); None goes by the extension of `path`, and raises UnknownFormat if that
        tells none. `only_class`, the name or id of a class: labels or objects of that class alone. `z`: of
        a volume's labels or preview, that slice, which a PNG can hold. A folder that is missing is made.
        """
        target = Path(path)
        wanted = Wanted(part, format or format_of(part, target), only_class, z)
        with draft(target) as file:
            await self._carry_out(stories.fetch(job_id, wanted, Sink(file)))
        return target

    async def models(self) -> list[ModelInfo]:
        """Every model that the service knows, installed or not."""
        return await self._carry_out(stories.list_models())

    async def model(self, reference: str) -> ModelInfo:
        """One model; a bare name is the version that a job with that name would run."""
        return await self._carry_out(stories.read_model(reference))

    async def segment(
        self,
        image: Image,
        model: str,
        params: ParametersLike | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # the same
        on_progress: OnProgress | None = None,
    ) -> Segmentation:
        """Sends an image, waits for its segmentation and fetches it: `submit`, `wait`, `labels`, `objects`.

        Raises JobFailed, JobCancelled, or WaitTimedOut after `timeout` seconds of waiting.
        """
        job = await self.submit(image, model, params, tags)
        if not job.status.ended:
            job = await self.wait(job.id, timeout, on_progress)
        stories.require_success(job)
        return Segmentation(await self.labels(job.id), await self.objects(job.id), job)

    async def close(self) -> None:
        """Ends its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _carry_out(self, story: Story[ValueT]) -> ValueT:
        reply: Reply = None
        while True:
            try:
                step = story.send(reply)
            except StopIteration as end:
                value: ValueT = end.value
                return value
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
                reply = None
            else:
                reply = await self._send(step)

    async def _send(self, call: Call) -> Answer | Broken:
        content = None if call.body is None else _pieces(call.body)
        try:
            async with self._http.stream(**self._wire.request_options(call), content=content) as response:
                if call.sink is None or response.status_code != httpx.codes.OK:
                    return self._wire.answer(response, await response.aread())
                call.sink.restart()
                async for chunk in response.aiter_bytes():
                    await asyncio.to_thread(call.sink.write, chunk)
                return self._wire.answer(response, b"")
        except httpx.TransportError as error:
            return self._wire.broken(error, call)


@contextlib.asynccontextmanager
async def _opened_payload(
    image: Image, filename: str | None, on_bytes: OnBytes | None
) -> AsyncIterator[Payload]:
    """`open_payload` in a thread: to pack a folder or an array may take minutes."""
    stack = contextlib.ExitStack()
    try:
        yield await asyncio.to_thread(stack.enter_context, open_payload(image, filename, on_bytes))
    finally:
        await asyncio.to_thread(stack.close)


async def _pieces(payload: Payload) -> AsyncIterator[bytes]:
    count = 0
    while chunk := await asyncio.to_thread(payload.file.read, CHUNK_BYTES):
        yield chunk
        count += len(chunk)
        payload.sent(count)
