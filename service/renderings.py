"""Results are rendered a few at once; so many others may wait, and none for a caller that has left."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from emserve.errors import TooManyRenderings

Result = TypeVar("Result")


class Renderings:
    """Runs them in the order in which they were asked for. Of one event loop."""

    def __init__(self, at_once: int, limit: int) -> None:
        """`limit` is the most that may be under way, those that wait included."""
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="rendering")
        self._limit = limit
        self._under_way = 0

    async def run(self, request: Request, call: Callable[[], Result]) -> Result:
        """What a blocking `call` makes; its log lines know the request.

        Raises TooManyRenderings, and ClientDisconnect where the caller left before the call began. One that
        has begun goes on without its caller: others may want what it makes.
        """
        if self._under_way >= self._limit:
            raise TooManyRenderings(self._limit)
        self._under_way += 1
        try:
            return await self._run(request, call)
        finally:
            self._under_way -= 1

    async def _run(self, request: Request, call: Callable[[], Result]) -> Result:
        rendering = self._threads.submit(contextvars.copy_context().run, call)
        ending = asyncio.wrap_future(rendering)
        leaving = asyncio.create_task(_left(request))
        try:
            await asyncio.wait((ending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done() and rendering.cancel():
                raise ClientDisconnect
            return await ending
        finally:
            leaving.cancel()
            rendering.cancel()  # which does nothing to one that has begun

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


async def _left(request: Request) -> None:
    """Returns when the caller has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
