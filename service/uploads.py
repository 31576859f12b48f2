"""An upload on its way into storage: counted, hashed and stored in one pass, never held in memory.

Two forms (docs/api.md): multipart/form-data with a part `image`, and a raw body with the rest in
the query.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

import obstore
from obstore.store import ObjectStore
from starlette.requests import Request
from streaming_form_data.parser import (
    ParseFailedException,
    StreamingFormDataParser,
    UnexpectedPartException,
    parse_content_boundary,
)
from streaming_form_data.targets import BaseTarget

from emserve import storage
from emserve.errors import (
    EncodedBody,
    FieldError,
    IncompleteUpload,
    InvalidRequest,
    MissingImage,
    UnsupportedMediaType,
    UploadTooLarge,
    UploadTooSlow,
)
from emserve.settings import Settings
from emserve.storage import storage_errors
from service.fields import listed
from service.intake import Intake

_FIELD_LIMIT = 64 * 1024  # bytes of a text part
_ROOM_BYTES = 16 * 1024**2  # the disks are looked at again after this much of an upload
_FIELDS = ("model", "params", "tags")
_BESIDE_LIMIT = (
    len(_FIELDS) + 1
) * _FIELD_LIMIT  # bytes of a form without its image: they are held in memory
_IMAGE_TYPES = ("application/octet-stream", "application/zip", "image/")
_HOW_TO = "curl -X POST -T cell.tif 'http://HOST/v1/jobs?model=mitonet&filename=cell.tif'"


@dataclass
class Received:
    """What came in. `fields` holds the text parts as they were sent."""

    filename: str = ""
    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()

    def note(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        self.digest.update(chunk)


async def receive(
    request: Request, store: ObjectStore, key: str, settings: Settings, intake: Intake
) -> Received:
    """Streams the request's image to `key`.

    Raises UserErrors for what is wrong with the request, and what keeps the server from taking it; whoever
    calls removes what was stored.
    """
    async with intake.place(_announced(request) or 0):
        return await _take(_Body(request, settings, intake), store, key, settings.max_upload_bytes)


def _announced(request: Request) -> int | None:
    length = request.headers.get("content-length")
    return None if length is None else int(length)


async def _take(body: "_Body", store: ObjectStore, key: str, limit_bytes: int) -> Received:
    request = body.request
    encoding = listed(request, "content-encoding") or ""
    if encoding.strip().lower() not in ("", "identity"):
        raise EncodedBody(encoding)
    content_type = request.headers.get("content-type", "")
    kind = _media_type(content_type)
    received = Received()
    if kind == "multipart/form-data":
        _refuse_fields(request)
        chunks = _multipart(body, content_type, received)
    elif not kind or kind.startswith(_IMAGE_TYPES):
        received.fields = {
            name: request.query_params[name] for name in _FIELDS if name in request.query_params
        }
        received.filename = request.query_params.get("filename", "")
        chunks = _raw(body, received)
    else:
        raise UnsupportedMediaType(
            f"The body's Content-Type is {kind!r}; an image comes as multipart/form-data, as image/*, as "
            f"application/octet-stream, application/zip or without a type. To send a file as it is: {_HOW_TO}"
        )
    with storage_errors():
        await obstore.put_async(
            store,
            key,
            _within(chunks, received, limit_bytes),
            max_concurrency=2,
            use_multipart=True,
            chunk_size=storage.part_bytes(store, _announced(request) or limit_bytes),
        )
    if received.size_bytes == 0:
        raise MissingImage(
            "The request carries no image: the body, or its part `image`, is empty.",
            errors=[FieldError("/image", "empty or missing")],
        )
    return received


def _refuse_fields(request: Request) -> None:
    """Beside a form nobody would look at them. Raises InvalidRequest."""
    stray = [name for name in (*_FIELDS, "filename") if name in request.query_params]
    if stray:
        raise InvalidRequest(
            f"Beside a form, {', '.join(stray)} cannot stand in the address: make each a part of the form.",
            errors=[FieldError(f"/query/{name}", "a part of the form, not of the address") for name in stray],
        )


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


async def _within(chunks: AsyncIterator[bytes], received: Received, limit_bytes: int) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        received.note(chunk)
        if received.size_bytes > limit_bytes:
            raise UploadTooLarge(received.size_bytes, limit_bytes)
        yield chunk


class _Body:
    """A request's body, watched while it comes."""

    def __init__(self, request: Request, settings: Settings, intake: Intake) -> None:
        self.request = request
        self._settings = settings
        self._intake = intake
        self._begun = asyncio.get_running_loop().time()
        self.size_bytes = 0
        """What has come so far."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Raises UploadTooSlow when the body stands still, StorageFull when the disk fills, and
        StorageUnavailable."""
        stream = self.request.stream()
        room_at = _ROOM_BYTES
        while True:
            try:
                async with asyncio.timeout_at(self._deadline()):
                    chunk = await anext(stream, None)
            except TimeoutError:
                raise UploadTooSlow(self.size_bytes, self._settings.upload_idle_seconds) from None
            if chunk is None:
                return
            self.size_bytes += len(chunk)
            if self.size_bytes >= room_at:
                await asyncio.to_thread(self._intake.check_room)
                room_at = self.size_bytes + _ROOM_BYTES
            yield chunk

    def _deadline(self) -> float:
        """Until when the next chunk must come, in the loop's time."""
        patience, rate = self._settings.upload_idle_seconds, self._settings.min_upload_bytes_per_second
        next_sign = asyncio.get_running_loop().time() + patience
        return min(next_sign, self._begun + patience + self.size_bytes / rate) if rate else next_sign


async def _raw(body: _Body, received: Received) -> AsyncIterator[bytes]:
    async for chunk in body.chunks():
        yield chunk
    announced = _announced(body.request)
    if announced is not None and received.size_bytes < announced:
        raise IncompleteUpload(
            f"The body ended after {received.size_bytes} of the {announced} bytes that Content-Length "
            "announced. Send the file again."
        )


async def _multipart(body: _Body, content_type: str, received: Received) -> AsyncIterator[bytes]:
    image = _ImagePart()
    texts = {name: _TextPart(name) for name in _FIELDS}
    try:
        headers = {"Content-Type": content_type}
        parser = StreamingFormDataParser(headers, strict=True)
        close = _CloseDelimiter(parse_content_boundary(headers))
        parser.register("image", image)
        for name, part in texts.items():
            parser.register(name, part)
        async for chunk in body.chunks():
            parser.data_received(close.up_to(chunk))
            if body.size_bytes - image.size_bytes > _BESIDE_LIMIT:
                raise InvalidRequest(
                    f"The form has more than {_BESIDE_LIMIT} bytes beside its image: in other parts, in what "
                    "stands before a part's content, or behind the last. The image is the part `image`."
                )
            for piece in image.take():
                yield piece
    except UnexpectedPartException as error:
        raise _unknown_part(error.part_name) from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "The name of a part, or of its file, is not written in UTF-8: rename the file, or send the name "
            "as `-F 'image=@cell.tif;filename=cell.tif'`."
        ) from error
    except ParseFailedException as error:
        raise InvalidRequest(
            "The body is no valid multipart/form-data; curl makes one with "
            "`-F image=@cell.tif -F model=mitonet`."
        ) from error
    if body.size_bytes:
        _require_whole({"image": image, **texts}, close)
    received.filename = image.multipart_filename or ""
    received.fields = {name: part.text for name, part in texts.items() if part.parts}


def _require_whole(parts: Mapping[str, "_ImagePart | _TextPart"], close: "_CloseDelimiter") -> None:
    """Raises IncompleteUpload for a form that was cut off. What is missing of it may be parameters, and the
    job would run with others than were sent."""
    cut = [name for name, part in parts.items() if part.parts and not part.is_complete]
    if cut:
        raise IncompleteUpload(f"The body ended inside the part `{cut[0]}`. Send the form again.")
    if not close.is_seen:
        raise IncompleteUpload("The body ended before the last boundary of its form. Send the form again.")


class _CloseDelimiter:
    """The line that ends a form. The form's parser does not tell whether it came, and loses the last text
    part where enough stands behind that line."""

    def __init__(self, boundary: bytes) -> None:
        self.is_seen = False
        self._line = b"\r\n--" + boundary + b"--"
        self._tail = b"\r\n"  # a form without parts begins with the rest of the line

    def up_to(self, chunk: bytes) -> bytes:
        """What of the body's next chunk belongs to the form."""
        if self.is_seen:
            return b""
        seen = self._tail + chunk  # the line may lie across chunks
        place = seen.find(self._line)
        if place < 0:
            self._tail = seen[1 - len(self._line) :]
            return chunk
        self.is_seen = True
        return chunk[: place + len(self._line) - len(self._tail)]


def _unknown_part(name: object) -> InvalidRequest:
    shown = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    detail = f"The part {shown[:100]!r} is unknown; the parts are image, model, params and tags."
    return InvalidRequest(detail, errors=[FieldError.at([shown[:100]], detail)])


class _ImagePart(BaseTarget):  # type: ignore[misc]  # the library ships no types
    """Hands the image's bytes on as they come."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = 0
        self.size_bytes = 0
        self.is_complete = False
        self._pieces: list[bytes] = []

    def on_start(self) -> None:
        self.parts += 1
        if self.parts > 1:
            raise InvalidRequest("The request carries more than one part `image`; one job takes one image.")

    def on_data_received(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        self._pieces.append(bytes(chunk))

    def on_finish(self) -> None:
        self.is_complete = True

    def take(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces


class _TextPart(BaseTarget):  # type: ignore[misc]  # the library ships no types
    """Collects one small text part."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.parts = 0
        self.is_complete = False
        self._name = name
        self._value = bytearray()

    def on_start(self) -> None:
        self.parts += 1
        if self.parts > 1:
            raise InvalidRequest(f"The part {self._name!r} stands twice in the request.")

    def on_data_received(self, chunk: bytes) -> None:
        self._value += chunk
        if len(self._value) > _FIELD_LIMIT:
            raise InvalidRequest(f"The part {self._name!r} is longer than {_FIELD_LIMIT} bytes.")

    def on_finish(self) -> None:
        self.is_complete = True

    @property
    def text(self) -> str:
        return self._value.decode(errors="replace")
