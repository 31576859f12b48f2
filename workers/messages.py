"""What a supervisor and its child say to each other, as JSON over a socket pair."""

from multiprocessing.connection import Connection
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from emserve.resident import Resident


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Assignment(_Message):
    """Supervisor to child: run this attempt."""

    kind: Literal["assignment"] = "assignment"
    job_id: str
    execution_id: str
    attempt: int
    traces: dict[str, str]
    """What lines of the log about it carry."""


class Ready(_Message):
    """Child to supervisor: the tasks are imported, the warm models are loaded."""

    kind: Literal["ready"] = "ready"
    device: str
    residents: list[Resident]


class Begun(_Message):
    """Child to supervisor: it has the assignment, so from here on its death is the job's."""

    kind: Literal["begun"] = "begun"
    job_id: str


class Ended(_Message):
    """Child to supervisor: the job has an end."""

    kind: Literal["ended"] = "ended"
    job_id: str
    residents: list[Resident]


class Interrupted(_Message):
    """Child to supervisor: the storage went away in the middle; the job has no end, and may begin again."""

    kind: Literal["interrupted"] = "interrupted"
    job_id: str


class Advanced(_Message):
    """Child to supervisor: a step of a long job is over; its time-out begins anew."""

    kind: Literal["advanced"] = "advanced"
    job_id: str


FromChild = Ready | Begun | Advanced | Interrupted | Ended
_ADAPTER: TypeAdapter[Assignment | FromChild] = TypeAdapter(
    Annotated[Assignment | FromChild, Field(discriminator="kind")]
)


def send(connection: "Connection[bytes, bytes]", message: Assignment | FromChild) -> None:
    connection.send_bytes(message.model_dump_json().encode())


def receive(connection: "Connection[bytes, bytes]") -> Assignment | FromChild:
    """Blocks for the next message. Raises EOFError when the other side is gone."""
    return _ADAPTER.validate_json(connection.recv_bytes())
