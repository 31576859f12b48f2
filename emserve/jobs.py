"""A job: what is asked, what is running, how it ended, and how it reads over HTTP."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from emserve.cards import ModelCard, Norms
from emserve.errors import EmserveError, ErrorKind
from emserve.params import Parameters
from emserve.wording import said_as

SCHEMA_VERSION = 1
MAX_ATTEMPTS = 3
"""How many may die one after the other without finishing anything that the next can go on from."""
PROBLEM_PREFIX = "urn:emserve:problem:"

Tags = Annotated[
    dict[
        Annotated[
            str,
            Field(min_length=1, max_length=64, pattern=r"^[^:\s]+$"),
            said_as("a tag's key has 1 to 64 characters, none of them a colon or a blank"),
        ],
        Annotated[str, Field(max_length=256), said_as("a tag's value is a text of at most 256 characters")],
    ],
    Field(max_length=32),
]


class Frozen(BaseModel):
    """Base of the records: immutable, closed."""

    model_config = ConfigDict(
        frozen=True,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,  # whatever is shown is shown whole
    )


class JobStatus(StrEnum):
    """Where a job is between its acceptance and its end."""

    QUEUED = "queued"  # accepted, waiting for a worker (again, after an attempt that was lost)
    RUNNING = "running"  # a worker has it
    CANCELLING = "cancelling"  # its owner wants it to stop, a worker still has it
    SUCCEEDED = "succeeded"  # the result is complete
    FAILED = "failed"  # `error` says why
    CANCELLED = "cancelled"  # stopped at its owner's wish

    @property
    def ended(self) -> bool:
        return self in (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.CANCELLED)


class Stage(StrEnum):
    """What a running job is doing."""

    DECODE = "decode"  # reading pixels out of the file
    INFER = "infer"  # the network's forward pass
    GROUP = "group"  # pixels to centres, merging, measuring
    TRACK = "track"  # matching objects from slice to slice
    WRITE = "write"  # storing the result


class Pointed(Frozen):
    """One fault in a request."""

    pointer: str
    detail: str


class Problem(Frozen):
    """An error as RFC 9457 shapes it. `type` is stable; docs/problems.md explains each."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    errors: list[Pointed] = []
    request_id: str | None = None
    kind: ErrorKind
    given: int | None = None
    limit: int | None = None

    @classmethod
    def of(cls, error: EmserveError, *, instance: str | None = None, request_id: str | None = None) -> Self:
        return cls(
            type=PROBLEM_PREFIX + error.slug,
            title=error.title,
            status=error.status,
            detail=str(error),
            instance=instance,
            errors=[Pointed(pointer=each.pointer, detail=each.detail) for each in error.errors],
            request_id=request_id,
            kind=error.kind,
            given=error.given,
            limit=error.limit,
        )


class JobWarning(Frozen):
    """Something that its owner should know about a job that goes on all the same."""

    code: str
    detail: str


class PinnedModel(Frozen):
    """The very weights that a job runs with."""

    name: str
    version: str
    sha256: str | None

    @classmethod
    def of(cls, card: ModelCard) -> Self:
        return cls(name=card.name, version=card.version, sha256=card.weights_sha256)

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


class ImageHeader(Frozen):
    """What a file's header says of the grey image in it, the caller's corrections applied."""

    format: str
    """tiff, mrc, png, jpeg, zarr (a zip of OME-Zarr) or slices (a zip of images)."""
    shape: list[int]
    """Of what will be segmented: height and width of an image; slices, height and width of a volume."""
    axes: str
    """YX or ZYX."""
    dtype: str
    """A numpy data type: bool, uint8, uint16, int16 or float32."""
    pixel_size_nm: list[float] | None
    """Height and width of a pixel; of a volume, the distance of slices before them."""
    pixel_size_source: str | None
    """file, request, or null when the size is unknown."""
    channel: int | None = None
    """Which channel is taken, of a file with several."""
    time: int | None = None
    """Which time is taken, of a file with several."""
    warnings: list[JobWarning] = []
    """What was assumed, and what is missing."""

    @property
    def is_volume(self) -> bool:
        return len(self.shape) == len("ZYX")


class JobInput(Frozen):
    """The uploaded file and what its header says."""

    filename: str
    bytes: int
    sha256: str
    shape: list[int]
    axes: str
    dtype: str
    pixel_size_nm: list[float] | None
    pixel_size_source: str | None

    @property
    def is_volume(self) -> bool:
        return len(self.shape) == len("ZYX")

    @property
    def pixels(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count


class Versioned(Frozen):
    """What outlives the version of the service that wrote it."""

    schema_version: int = SCHEMA_VERSION


class JobRecord(Versioned):
    """`job.json`: what was accepted. Written before the 202, never changed."""

    id: str
    model: PinnedModel
    params: Parameters
    tags: Tags
    warnings: list[JobWarning]
    input: JobInput
    created_at: datetime
    request_id: str | None = None
    """Of the request that brought it; on every line of the log that is about the job."""

    @property
    def traces(self) -> dict[str, str]:
        """What lines of the log about this job carry."""
        return {"job_id": self.id, **({"request_id": self.request_id} if self.request_id else {})}


class Tombstone(Frozen):
    """All that is kept of a deleted job, so that its id can be told from one that never was."""

    id: str
    deleted_at: datetime


class JobResult(Frozen):
    """What a succeeded job has to show."""

    objects: int
    """How many objects the label map holds; for a semantic map, how many classes it shows."""
    classes: dict[int, str] = {}
    """Class id to name, of the model that ran."""
    dtype: str
    shape: list[int]
    axes: str
    downsampling: int
    device: str
    precision: str
    seconds: dict[str, float]
    """Wall-clock seconds by stage."""


class JobEnd(Versioned):
    """`end.json`: how a job ended. The first writer wins and nobody changes it."""

    status: JobStatus
    attempt: int
    execution_id: str | None
    """Folder of the attempt that made the result."""
    started_at: datetime | None
    finished_at: datetime
    result: JobResult | None = None
    error: Problem | None = None
    warnings: list[JobWarning] = []


class Provenance(Frozen):
    """`provenance.json`: all that one needs to know to get the same labels again."""

    job_id: str
    execution_id: str
    attempt: int
    input: JobInput
    model: PinnedModel
    architecture: str
    norms: Norms
    padding_factor: int
    params: Parameters
    warnings: list[JobWarning]
    """Those of the job, such as that its weights are for trying only."""
    device: str
    precision: str
    software: dict[str, str]
    """Version of each package, of Python and of the operating system."""
    created_at: datetime
    started_at: datetime
    seconds: dict[str, float]
    """Wall-clock seconds by stage."""


def aged_from(record: JobRecord, end: JobEnd) -> datetime:
    """From when an ended job's age counts. It cannot have ended before it came: that is what a worker's clock
    says that is behind."""
    return max(record.created_at, end.finished_at)


class Attempt(Frozen):
    """`attempt.json`: one run of a job by one worker."""

    number: int
    execution_id: str
    worker: str
    started_at: datetime
    parts: int = 0
    """How many parts of the job were finished before it, as its ledger says."""


class Progress(Frozen):
    """How far the current stage is."""

    fraction: float
    """Share of the whole job that is done, 0 to 1."""
    done: int
    total: int
    unit: str
    eta_seconds: float | None = None


class QueuePlace(Frozen):
    """How many jobs are ahead."""

    position: int


class Job(Frozen):
    """A job as the API shows it."""

    id: str
    status: JobStatus
    stage: Stage | None = None
    attempt: int
    model: PinnedModel
    params: Parameters
    tags: Tags
    warnings: list[JobWarning]
    input: JobInput
    progress: Progress | None = None
    queue: QueuePlace | None = None
    result: JobResult | None = None
    error: Problem | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    links: dict[str, str] = {}


class JobPage(Frozen):
    """One page of the list of jobs, newest first."""

    jobs: list[Job]
    next_page_token: str | None = None


class ImageSource(Frozen):
    """How to read a stored file's grey image: what the caller's parameters say of it."""

    axes: str | None = None
    channel: int | None = None
    time: int | None = None
    pixel_size_nm: list[float] | None = None

    @classmethod
    def of(cls, params: Parameters) -> Self:
        return cls(
            axes=params.axes,
            channel=params.channel,
            time=params.time,
            pixel_size_nm=params.pixel_size_nm,
        )
