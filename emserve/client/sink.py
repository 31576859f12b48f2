"""Where a result's bytes go as they come: a file, and a checksum beside it."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import IO

from emserve.client.errors import CorruptAnswer

_SHA256 = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]*):")


class Sink:
    """Writes pieces to a seekable file; a repeated request begins it anew."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._sha256 = hashlib.sha256()

    def restart(self) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._sha256 = hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._sha256.update(chunk)

    def check(self, headers: Mapping[str, str], what: str) -> None:
        """Raises CorruptAnswer unless the bytes are those that the server announced."""
        compare_digests(announced_sha256(headers), self._sha256.digest(), what)


def announced_sha256(headers: Mapping[str, str]) -> bytes | None:
    """The sha-256 of Repr-Digest (RFC 9530), header names in lower case; None without a usable one."""
    match = _SHA256.search(headers.get("repr-digest", ""))
    if match is None:
        return None
    try:
        return base64.b64decode(match.group(1), validate=True)
    except binascii.Error:
        return None


def compare_digests(announced: bytes | None, received: bytes, what: str) -> None:
    """Raises CorruptAnswer when `announced` is known and another. Some results announce none."""
    if announced is not None and announced != received:
        raise CorruptAnswer(
            f"{what} arrived damaged: its sha-256 is {received.hex()}, the server announced "
            f"{announced.hex()}. Fetch it again."
        )
