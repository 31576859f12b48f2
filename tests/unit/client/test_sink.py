"""Checksums of what arrives."""

import base64
import hashlib
import io

import pytest

from emserve.client.errors import CorruptAnswer
from emserve.client.sink import Sink, announced_sha256

SHA = hashlib.sha256(b"labels").digest()
HEADERS = {"repr-digest": f"sha-256=:{base64.b64encode(SHA).decode()}:"}


def test_the_announced_checksum_is_found_among_others() -> None:
    assert announced_sha256(HEADERS) == SHA
    assert announced_sha256({"repr-digest": f"sha-512=:AAAA:, {HEADERS['repr-digest']}"}) == SHA


@pytest.mark.parametrize("value", ["", "sha-256=abc", "sha-256=:a:", "md5=:AAAA:"])
def test_an_unusable_announcement_is_none(value: str) -> None:
    assert announced_sha256({"repr-digest": value}) is None


def test_right_bytes_pass_and_wrong_ones_do_not() -> None:
    file = io.BytesIO()
    sink = Sink(file)
    sink.restart()
    sink.write(b"lab")
    sink.write(b"els")
    sink.check(HEADERS, "labels")
    sink.write(b"!")
    with pytest.raises(CorruptAnswer, match="labels arrived damaged"):
        sink.check(HEADERS, "labels")


def test_a_second_attempt_begins_anew() -> None:
    file = io.BytesIO()
    sink = Sink(file)
    sink.write(b"half of something longer")
    sink.restart()
    sink.write(b"labels")
    sink.check(HEADERS, "labels")
    assert file.getvalue() == b"labels"
