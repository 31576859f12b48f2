"""Stored files over HTTP: byte ranges, entity tags, digests (RFC 9110, RFC 9530)."""

import base64
import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import obstore
from obstore.store import ObjectStore
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from emserve.errors import UserError
from emserve.imaging import RenderedFile

_CHUNK_BYTES = 1 << 20
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


async def stored_file(request: Request, store: ObjectStore, file: RenderedFile, filename: str) -> Response:
    """`file` whole, a range of it, or 304 when the caller has it already."""
    etag = f'"{file.sha256}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{base64.b64encode(bytes.fromhex(file.sha256)).decode()}:",
        "Content-Disposition": _disposition(filename),
        "Cache-Control": "private, max-age=31536000, immutable",
        "Vary": "Accept",
    }
    if _matches(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    start, end = 0, file.bytes
    status = 200
    part = _range(request, etag, file.bytes)
    if part is not None:
        start, end = part
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.bytes}"
    headers["Content-Length"] = str(end - start)
    if request.state.is_head:
        return Response(status_code=status, headers=headers, media_type=file.media_type)
    body = _read(store, file.key, start, end)
    return StreamingResponse(body, status_code=status, headers=headers, media_type=file.media_type)


async def _read(store: ObjectStore, key: str, start: int, end: int) -> AsyncIterator[bytes]:
    if start == end:
        return
    result = await obstore.get_async(store, key, options={"range": (start, end)})
    async for chunk in result.stream(min_chunk_size=_CHUNK_BYTES):
        yield bytes(chunk)


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
