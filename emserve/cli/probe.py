"""Asks the API whether it is ready, again and again, and says once why it is not."""

import time

import httpx
from pydantic import BaseModel, ValidationError

from emserve.cli.steps import Steps
from emserve.jobs import Pointed

_ANSWER_SECONDS = 0.5
_PATIENCE_SECONDS = 15
_NO_HINDRANCE = {"/disk"}  # uploads are refused then; jobs that were accepted go on


class _Answer(BaseModel):
    """What matters here of what /readyz says, be it ready or a problem."""

    detail: str = ""
    errors: list[Pointed] = []


class Probe:
    """One question to /readyz, to be asked until the answer is yes."""

    def __init__(self, url: str, steps: Steps) -> None:
        self._url = f"{url}/readyz"
        self._steps = steps
        self._complain_at = time.monotonic() + _PATIENCE_SECONDS

    def can_work(self) -> bool:
        """Whether the API, its broker and its storage are there, so that workers are of use."""
        try:
            response = httpx.get(self._url, timeout=_ANSWER_SECONDS, trust_env=False)
            answer = _Answer.model_validate_json(response.content)
        except (httpx.TransportError, ValidationError) as error:
            self._complain(f"no answer yet ({type(error).__name__})")
            return False
        if response.is_success:
            return True
        if {fault.pointer for fault in answer.errors} == _NO_HINDRANCE:
            self._steps.say(f"No image can be taken yet: {answer.detail}", style="yellow")
            return True
        self._complain(answer.detail)
        return False

    def _complain(self, reason: str) -> None:
        if time.monotonic() > self._complain_at:
            self._complain_at = float("inf")
            self._steps.say(f"The API is not ready: {reason}", style="yellow")
