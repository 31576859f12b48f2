"""Stored files over HTTP: byte ranges, entity tags, digests (RFC 9110, RFC 9530)."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import ObjectStore
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from emserve.errors import UserError
from emserve.imaging import RenderedFile
from emserve.storage import storage_errors
from service.fields import listed

_PIECE_BYTES = 4 << 20
_CHUNK_BYTES = 256 << 10  # of a piece, what is handed to a connection at a time, which holds a copy
_FOR_EVER = "private, max-age=31536000, immutable"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiable(UserError):
    slug = "range-not-satisfiable"
    title = "The range lies outside the file"
    status = 416

    def __init__(self, asked: str, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        super().__init__(
            f"The range {asked[:80]!r} lies outside the file's {size_bytes} bytes: ask for a range inside."
        )


Read = Callable[[int, int], AsyncIterator[bytes]]
"""Gives the bytes from a first one to the one before an end."""


def from_store(store: ObjectStore, key: str) -> Read:
    """Reads an object in storage."""
    return lambda start, end: _read(store, key, start, end)


def from_disk(path: Path) -> Read:
    """Reads a file, which may be removed from now on."""
    file = path.open("rb")

    async def read(start: int, end: int) -> AsyncIterator[bytes]:
        with file:
            file.seek(start)
            while start < end and (
                chunk := await asyncio.to_thread(file.read, min(_CHUNK_BYTES, end - start))
            ):
                start += len(chunk)
                yield chunk

    return read


def file_answer(request: Request, read: Read, file: RenderedFile, filename: str | None) -> Response:
    """`file` whole, a range of it, or 304 when the caller has it already. A browser saves it as `filename`;
    None for what nobody saves."""
    headers = {
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:",
        "Cache-Control": _FOR_EVER,
        "Vary": "Accept",
    }
    if filename is not None:
        headers["Content-Disposition"] = _disposition(filename)
    return _answer(request, read, _Content(file.sha256, file.bytes, file.media_type), headers)


async def object_answer(request: Request, store: ObjectStore, key: str, is_final: bool) -> Response | None:
    """An object as it is in storage: whole, a range of it, or 304; None where there is none. One that
    `is_final` never changes."""
    with storage_errors():
        try:
            meta = await obstore.head_async(store, key)
        except (NotFoundError, FileNotFoundError):
            return None
    tag = (meta["e_tag"] or str(meta["last_modified"].timestamp())).strip('"')
    media_type = "application/json" if key.endswith(".json") else "application/octet-stream"
    content = _Content(tag, meta["size"], media_type)
    return _answer(
        request, from_store(store, key), content, {"Cache-Control": _FOR_EVER if is_final else "no-cache"}
    )


@dataclass(frozen=True)
class _Content:
    """What is served."""

    tag: str
    """Another one for other bytes."""
    size_bytes: int
    media_type: str


def _answer(request: Request, read: Read, content: _Content, headers: dict[str, str]) -> Response:
    etag, size = f'"{content.tag}"', content.size_bytes
    headers |= {"ETag": etag, "Accept-Ranges": "bytes"}
    if _matches(listed(request, "if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    start, end = 0, size
    status = 200
    part = _range(request, etag, size)
    if part is not None:
        start, end = part
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.state.is_head:
        return Response(status_code=status, headers=headers, media_type=content.media_type)
    return StreamingResponse(
        read(start, end), status_code=status, headers=headers, media_type=content.media_type
    )


async def _read(store: ObjectStore, key: str, start: int, end: int) -> AsyncIterator[bytes]:
    # Each piece is there before it is sent: the storage's patience with a request is no matter of how fast
    # the client reads.
    while start < end:
        until = min(start + _PIECE_BYTES, end)
        with storage_errors():
            piece = await obstore.get_range_async(store, key, start=start, end=until)
        for first in range(0, until - start, _CHUNK_BYTES):
            yield bytes(memoryview(piece)[first : first + _CHUNK_BYTES])
        start = until


def _matches(header: str | None, etag: str) -> bool:
    if header is None:
        return False
    return header.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in header.split(","))


def _range(request: Request, etag: str, size: int) -> tuple[int, int] | None:
    """The first and the end byte asked for; None for the whole file.

    Several ranges, other units and malformed ones are ignored, as RFC 9110 allows; so is a range with
    HEAD, as it demands.
    """
    header = request.headers.get("range")
    if header is None or request.state.is_head or request.headers.get("if-range", etag) != etag:
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    else:
        start, end = max(0, size - int(last)), size
    if start >= size or start >= end:
        raise RangeNotSatisfiable(header, size)
    return start, end


def _disposition(filename: str) -> str:
    plain = (
        filename.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_").replace("\\", "_")
    )
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
