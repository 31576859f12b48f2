"""The clock: processor time of this process, which other programs on the machine hardly change."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What `work` returns, and the processor seconds that it took (all threads of this process)."""
    before = time.process_time()
    result = work()
    return result, time.process_time() - before


def fastest(work: Callable[[], object], times: int) -> float:
    """Processor seconds of the fastest of several runs: what disturbs a run only ever adds to it."""
    return min(timed(work)[1] for _ in range(times))
