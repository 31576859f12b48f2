"""Bands so small that the images of tests have many."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from workers.images import decode, picture, png, raw, tiff_page


@contextmanager
def bands_of(size_bytes: int) -> Iterator[None]:
    """Files are decoded by bands of this size meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (decode, picture, png, raw, tiff_page):
            patch.setattr(module, "BAND_BYTES", size_bytes)
        yield
