"""Health waits for a silent storage only so long, for all of them together."""

import time
from collections.abc import Iterator
from threading import Event

import pytest

from emserve.errors import StorageFull, StorageUnavailable
from service.storage_probe import StorageProbe

_LIMIT_SECONDS = 5


@pytest.fixture
def recovery() -> Iterator[Event]:
    """Until it is set, those who ask for it hear nothing."""
    event = Event()
    yield event
    event.set()


def test_it_hands_on_the_answer_and_the_refusal() -> None:
    def refuse() -> None:
        raise StorageFull("a question")

    assert StorageProbe(lambda: 42).begin()() == 42
    with pytest.raises(StorageFull):
        StorageProbe(refuse).begin()()


def test_several_that_are_silent_are_waited_for_at_the_same_time(recovery: Event) -> None:
    probes = [StorageProbe(recovery.wait) for _ in range(3)]
    asked = time.monotonic()
    for answer in [probe.begin() for probe in probes]:
        with pytest.raises(StorageUnavailable, match="has not answered for 5 seconds"):
            answer()
    assert _LIMIT_SECONDS <= time.monotonic() - asked < 2 * _LIMIT_SECONDS
    recovery.set()
    assert all(probe.begin()() for probe in probes)
