"""What came of a request: an answer, read into typed values or into the error that it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from emserve import __version__
from emserve.client.errors import ApiError, JobDeleted, UnexpectedAnswer
from emserve.errors import ErrorKind
from emserve.errors import JobDeleted as DeletedThere
from emserve.jobs import PROBLEM_PREFIX, Problem

ValueT = TypeVar("ValueT")

_SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class Answer:
    """A complete answer of whoever listens at `url`."""

    url: str
    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    content: bytes

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def read_as(self, adapter: TypeAdapter[ValueT]) -> ValueT:
        """The JSON content as a typed value; UnexpectedAnswer when it is something else."""
        try:
            return adapter.validate_json(self.content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = "/".join(str(step) for step in first["loc"])
            raise UnexpectedAnswer(
                f"{self.url} answered {self.status} with something that this client (emserve {__version__}) "
                f"does not understand ({where + ': ' if where else ''}{first['msg']}). Is an emserve service "
                "there, and of a version that fits?"
            ) from error

    def error(self) -> ApiError:
        """The answer, which is no success, as an error; also that of a proxy on the way."""
        try:
            problem = Problem.model_validate_json(self.content)
        except ValidationError:
            problem = self._foreign_problem()
        if problem.request_id is None:
            problem = problem.model_copy(update={"request_id": self.headers.get("x-request-id")})
        is_deleted = problem.type == PROBLEM_PREFIX + DeletedThere.slug
        return JobDeleted(problem) if is_deleted else ApiError(problem)

    def _foreign_problem(self) -> Problem:
        phrase = HTTPStatus(self.status).phrase if self.status in set(HTTPStatus) else "Unknown status"
        shown = " ".join(self.content[: 4 * _SHOWN_CHARACTERS].decode(errors="replace").split())
        is_text = not self.headers.get("content-type", "").startswith("text/html")
        reason = f": {shown[:_SHOWN_CHARACTERS]}" if shown and is_text else ""
        to = f" and points to {self.headers['location']}" if "location" in self.headers else ""
        return Problem(
            type=PROBLEM_PREFIX + phrase.lower().replace(" ", "-"),
            title=phrase,
            status=self.status,
            detail=f"{self.url} answered {self.status}{to}{reason}",
            kind=ErrorKind.USER if self.status < 500 else ErrorKind.SYSTEM,
        )


@dataclass(frozen=True)
class Broken:
    """No answer: the connection could not be made, ended too early, or was silent for too long."""

    url: str
    """Of the service."""
    reason: str
    may_repeat: bool
    """Whether the next connection may do better: where none was made, or it was lost; where it was silent,
    only for a stubborn call."""
