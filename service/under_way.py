"""What has to come to its end before the service closes what it needs."""

import asyncio
import contextlib
from collections.abc import Iterator


class UnderWay:
    """Requests that are not to be cut off. Of one event loop."""

    def __init__(self) -> None:
        self._count = 0
        self._is_over = asyncio.Event()
        self._is_over.set()

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Around one of them."""
        self._count += 1
        self._is_over.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._is_over.set()

    async def over(self, seconds: float) -> None:
        """Returns once there is none, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_over.wait(), seconds)
