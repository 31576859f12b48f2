"""What can go wrong on the caller's side, one small class per cause; `str` is fit for users.

None of these is an EmserveError: those are the problems that this service answers with, whose type and
status are fixed by their class and listed in the docs. A ClientError is what a caller sees: some server's
answer, whatever its status, or no answer at all.
"""

from emserve.jobs import Job, Problem


class ClientError(Exception):
    """Base of everything that the client and the commands raise on purpose."""


class BadAddress(ClientError, ValueError):
    """The service's address is no http URL."""


class UnusableImage(ClientError, ValueError):
    """What was given as an image cannot be sent."""


class InvalidParameters(ClientError, ValueError):
    """The parameters do not fit; found before anything is sent."""


class UnknownFormat(ClientError, ValueError):
    """A file name whose extension names no format of that result."""


class MissingPackage(ClientError, ImportError):
    """An optional package is needed; the message says how to install it."""


class ServiceUnreachable(ClientError):
    """No answer came."""

    def __init__(self, url: str, reason: str) -> None:
        self.url = url
        self.reason = reason
        super().__init__(
            f"The service at {url} does not answer ({reason}). Start it with `emserve up` or `make run`, "
            "or say where it is with --url or EMSERVE_URL."
        )


class UnexpectedAnswer(ClientError):
    """The server's answer is not what an emserve of this version says."""


class CorruptAnswer(ClientError):
    """A result's bytes are not those that the server announced."""


class ApiError(ClientError):
    """The service refused a request, or failed at it."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(_message(problem))

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.problem.status

    @property
    def request_id(self) -> str | None:
        """Names the request in the server's log."""
        return self.problem.request_id


class JobDeleted(ApiError):
    """The job was deleted, by somebody or because its time was over; nothing of it is left."""


class JobFailed(ClientError):
    """The job ran and failed; `problem` says why."""

    def __init__(self, problem: Problem, job: Job) -> None:
        self.problem = problem
        self.job = job
        super().__init__(f"The job {job.id} failed. {_message(problem)}")


class JobCancelled(ClientError):
    """The job was cancelled before it had a result."""

    def __init__(self, job: Job) -> None:
        self.job = job
        super().__init__(f"The job {job.id} was cancelled.")


class WaitTimedOut(ClientError, TimeoutError):
    """The job had not ended in the time given; it goes on."""

    def __init__(self, job: Job, seconds: float) -> None:
        self.job = job
        super().__init__(
            f"The job {job.id} is still {job.status} after {seconds:g} s. It goes on: wait again with a "
            f"longer time, or end it with `emserve cancel {job.id}`."
        )


def _message(problem: Problem) -> str:
    text = f"{problem.title}: {problem.detail}"
    for fault in problem.errors:
        if fault.pointer in text:
            continue
        text += f" ({fault.pointer})" if fault.detail in text else f" {fault.pointer}: {fault.detail}."
    return text
