"""Whole arrays from and into files, at a place, however little the system takes at once."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Call = Callable[[int, Sequence[Any], int], int]
"""os.preadv or os.pwritev."""


def transfer(call: Call, descriptor: int, array: NDArray[Any], position: int) -> None:
    """Fills a C-ordered array from the file, or writes it there, from byte `position` on.

    Raises OSError, ENOSPC among them, and EOFError where the file ends before the array does."""
    bytes_left = array.reshape(-1).view(np.uint8).data
    while len(bytes_left):
        done = call(descriptor, [bytes_left], position)
        if done == 0:
            raise EOFError(f"the file ends at byte {position}")
        bytes_left, position = bytes_left[done:], position + done
