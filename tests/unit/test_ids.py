"""Identifiers: UUIDv7, unique, sortable by time."""

import time
import uuid
from datetime import UTC, datetime, timedelta

from emserve.ids import PATTERN, made_at, new_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    value = uuid.UUID(new_id())
    assert value.version == 7
    assert value.variant == uuid.RFC_4122


def test_ids_sort_by_the_time_they_were_made() -> None:
    made = []
    for _ in range(20):
        made.append(new_id())
        time.sleep(0.002)
    assert made == sorted(made)


def test_an_id_holds_its_millisecond() -> None:
    before = time.time_ns() // 1_000_000
    held = uuid.UUID(new_id()).int >> 80
    assert before <= held <= time.time_ns() // 1_000_000


def test_ids_of_one_moment_differ() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_an_id_fits_the_pattern_and_a_path_does_not() -> None:
    assert PATTERN.fullmatch(new_id())
    for bad in ("", "..", "a/b", "a.b", "a b", "é", "a\n", "x" * 65):
        assert not PATTERN.fullmatch(bad), bad


def test_an_id_tells_when_it_was_made() -> None:
    made = made_at(new_id())
    assert made is not None
    assert timedelta() <= datetime.now(UTC) - made < timedelta(seconds=5)
    assert made_at("a-name") is None
    assert made_at(str(uuid.uuid4())) is None
    assert made_at("ffffffff-ffff-7fff-bfff-ffffffffffff") is None, "its year has five digits"
