"""The median over slices is the recursive one of the reference, on bits as on numbers."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from workers.inference.volume.median import RecursiveMedian
from workers.inference.volume.record import RangeRecord, SliceRecord

Stack = NDArray[Any]


def record(evidence: NDArray[Any]) -> SliceRecord:
    return SliceRecord(evidence, np.zeros((0, 0), np.uint32), np.zeros(1, np.float32))


def filtered(stack: list[NDArray[Any]], size: int) -> list[NDArray[Any]]:
    median = RecursiveMedian(size)
    results = [each for evidence in stack for each in median.push(record(evidence))]
    return [each.evidence for each in (*results, *median.end())]


def plainly(stack: Stack, size: int) -> Stack:
    """Each slice with all its neighbours becomes the median, those before it being medians already."""
    result, middle = stack.copy(), size // 2
    for n in range(middle, len(stack) - middle):
        result[n] = np.median(result[n - middle : n + middle + 1], axis=0)
    return result


@pytest.mark.parametrize("size", [1, 3, 5, 11])
@pytest.mark.parametrize("depth", [1, 2, 4, 12, 17])
def test_the_median_of_numbers_is_numpys(size: int, depth: int) -> None:
    stack = np.random.default_rng(1).random((depth, 2, 6, 7)).astype(np.float32)
    np.testing.assert_array_equal(filtered(list(stack), size), plainly(stack, size))


@pytest.mark.parametrize("size", [1, 3, 7, 11])
def test_whether_the_median_is_above_a_threshold_is_known_from_bits(size: int) -> None:
    stack = np.random.default_rng(2).random((16, 9, 21)).astype(np.float32)
    bits = [np.packbits(plane >= np.float32(0.4), axis=1) for plane in stack]
    found = np.stack([np.unpackbits(plane, axis=1, count=21) for plane in filtered(bits, size)])
    np.testing.assert_array_equal(found, plainly(stack, size) >= np.float32(0.4))


def test_a_range_survives_as_bytes() -> None:
    rng = np.random.default_rng(3)
    slices = tuple(
        SliceRecord(
            rng.integers(0, 256, (5, 2)).astype(np.uint8),
            rng.integers(0, 70_000, (3, 4)).astype(np.uint32),
            rng.random(n + 1).astype(np.float32),
        )
        for n in range(12)
    )
    again = RangeRecord.from_bytes(RangeRecord(slices, 4, 512, 8).to_bytes())
    assert (again.scale, again.tile, again.batch) == (4, 512, 8)
    for one, other in zip(slices, again.slices, strict=True):
        for field in ("evidence", "cells", "heights"):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
            assert getattr(one, field).dtype == getattr(other, field).dtype
