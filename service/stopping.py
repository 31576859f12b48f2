"""How the service ends: who waits for a job is answered at once, not when every connection has ended."""

from types import FrameType

import uvicorn


class Stopping:
    """Whether the service was told to stop."""

    def __init__(self) -> None:
        self.has_begun = False


class StoppingServer(uvicorn.Server):
    """A server that says so at the first signal. Uvicorn tells applications when all requests are answered,
    which those that wait would put off."""

    def __init__(self, config: uvicorn.Config, stopping: Stopping) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.has_begun = True
        super().handle_exit(sig, frame)
