"""Asks the API whether it is ready, again and again, and says once why it is not."""

import time
from collections.abc import Container

import httpx
from pydantic import BaseModel, ValidationError

from emserve.cli.steps import Steps

_ANSWER_SECONDS = 0.5
_PATIENCE_SECONDS = 15


class _Worker(BaseModel):
    name: str


class _Answer(BaseModel):
    """What matters here of what /readyz says, be it ready or a problem."""

    detail: str = ""
    workers: list[_Worker] = []


class Probe:
    """One question to /readyz, to be asked until the answer is yes."""

    def __init__(self, url: str, steps: Steps) -> None:
        self._url = f"{url}/readyz"
        self._steps = steps
        self._complain_at = time.monotonic() + _PATIENCE_SECONDS

    def takes_jobs(self) -> bool:
        """Whether the API, its broker and its storage are there."""
        return self._ask() is not None

    def has_worker(self, names: Container[str]) -> bool:
        """Whether one of these workers is live; a killed service's may seem so for some seconds."""
        answer = self._ask()
        return answer is not None and any(worker.name in names for worker in answer.workers)

    def _ask(self) -> _Answer | None:
        try:
            response = httpx.get(self._url, timeout=_ANSWER_SECONDS, trust_env=False)
            answer = _Answer.model_validate_json(response.content)
        except (httpx.TransportError, ValidationError) as error:
            self._complain(f"no answer yet ({type(error).__name__})")
            return None
        if response.is_success:
            return answer
        self._complain(answer.detail)
        return None

    def _complain(self, reason: str) -> None:
        if time.monotonic() > self._complain_at:
            self._complain_at = float("inf")
            self._steps.say(f"The API is not ready: {reason}", style="yellow")
