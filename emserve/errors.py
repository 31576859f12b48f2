"""What can go wrong, one small class per cause; the message names the value, the limit and the remedy.

Each class becomes one problem type of the API (RFC 9457); docs/problems.md explains them all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self


class ErrorKind(StrEnum):
    """Whose fault an error is."""

    USER = "user"  # the request or the image; the same again fails again
    SYSTEM = "system"  # the service; the same again may succeed


@dataclass(frozen=True)
class FieldError:
    """One fault in a request: a JSON pointer (RFC 6901) to the value, and what is wrong with it."""

    pointer: str
    detail: str

    @classmethod
    def at(cls, steps: Iterable[str | int], detail: str) -> Self:
        """The fault of the value that these names and positions lead to, whatever signs a name has."""
        escaped = (str(step).replace("~", "~0").replace("/", "~1") for step in steps)
        return cls("/" + "/".join(escaped), detail)


class EmserveError(Exception):
    """Base of everything that emserve raises on purpose. `str(error)` is fit for users."""

    slug: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "The service failed"
    status: ClassVar[int] = 500
    kind: ClassVar[ErrorKind] = ErrorKind.SYSTEM
    is_routine: ClassVar[bool] = False
    """Whether it answers a question that is asked again and again, and is no line of the log each time."""

    given: int | None = None
    limit: int | None = None
    """What was given and what is allowed, of errors about a limit that counts something."""
    cause: str = ""
    """What only those who run the service should read."""

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(detail)
        self.errors = tuple(errors)

    @property
    def for_operators(self) -> str:
        """What it says, and its cause."""
        return f"{self} {self.cause}".strip()


class UserError(EmserveError):
    """Base of what the caller can mend."""

    slug = "bad-request"
    title = "The request cannot be served"
    status = 400
    kind = ErrorKind.USER


class InvalidRequest(UserError):
    slug = "invalid-request"
    title = "The request does not fit the contract"
    status = 422


class UnknownModel(UserError):
    slug = "unknown-model"
    title = "No such model"
    status = 422

    def __init__(self, reference: str, known: Sequence[str]) -> None:
        detail = f"There is no model {reference!r}. Known models: {', '.join(known)}."
        super().__init__(detail, errors=[FieldError("/model", detail)])


class ModelMissing(UserError):
    slug = "model-missing"
    title = "The model's weights are not installed"
    status = 422

    def __init__(self, card_id: str, available: Sequence[str]) -> None:
        detail = (
            f"The weights of {card_id} are not installed on this server; its operator does that with "
            f"`emserve models pull`. Models that can run: {', '.join(available) or 'none'}."
        )
        super().__init__(detail, errors=[FieldError("/model", detail)])


class MissingImage(UserError):
    slug = "missing-image"
    title = "The request carries no image"
    status = 422


class IncompleteUpload(UserError):
    slug = "incomplete-upload"
    title = "The upload ended early"
    status = 400


class UnsupportedMediaType(UserError):
    slug = "unsupported-media-type"
    title = "This kind of content is not accepted"
    status = 415


class EncodedBody(UnsupportedMediaType):
    """A body that was compressed on its way, beside what its file may be by itself."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The body's Content-Encoding is {encoding!r:.80}, and this server takes none: send the file as "
            "it is. A TIFF may be compressed inside."
        )


class UnreadableImage(UserError):
    slug = "unreadable-image"
    title = "The image cannot be read"
    status = 422


class UnsuitableImage(UserError):
    slug = "unsuitable-image"
    title = "The file is no grey image or volume that can be segmented"
    status = 422


class LimitExceeded(UserError):
    """Base of errors that say how much was given, and how much is allowed."""

    def __init__(self, detail: str, *, given: int, limit: int) -> None:
        super().__init__(detail)
        self.given = given
        self.limit = limit


class ImageTooLarge(LimitExceeded):
    slug = "image-too-large"
    title = "The image has too many pixels"
    status = 422

    def __init__(self, given: int, limit: int) -> None:
        super().__init__(
            f"The image has {given} pixels and this server takes at most {limit}. "
            "Cut the image into parts or ask the operator to raise EMSERVE_MAX_PIXELS.",
            given=given,
            limit=limit,
        )


class VolumeTooLarge(LimitExceeded):
    slug = "volume-too-large"
    title = "The volume has too many voxels"
    status = 422

    def __init__(self, given: int, limit: int) -> None:
        super().__init__(
            f"The volume has {given} voxels and this server takes at most {limit}. "
            "Cut the volume into parts or ask the operator to raise EMSERVE_MAX_VOXELS.",
            given=given,
            limit=limit,
        )


class TooManyPages(LimitExceeded):
    slug = "too-many-pages"
    title = "The file has too many pages"
    status = 422

    def __init__(self, given: int, limit: int) -> None:
        super().__init__(
            f"The file has at least {given} pages or slices, and this server reads {limit} at most. Save "
            "what is meant as a file of its own, or a stack as an OME-Zarr, or ask the operator to raise "
            "EMSERVE_MAX_PAGES.",
            given=given,
            limit=limit,
        )


class UploadTooLarge(LimitExceeded):
    slug = "upload-too-large"
    title = "The upload is too large"
    status = 413

    def __init__(self, given: int, limit: int) -> None:
        super().__init__(
            f"The upload has {given} bytes or more and this server takes at most {limit}. "
            "Compress the image or ask the operator to raise EMSERVE_MAX_UPLOAD_BYTES.",
            given=given,
            limit=limit,
        )


class UploadTooSlow(UserError):
    slug = "upload-too-slow"
    title = "The upload was too slow"
    status = 408

    def __init__(self, received_bytes: int, seconds: float) -> None:
        super().__init__(
            f"The upload stood still, or nearly, after {received_bytes} bytes: this server waits "
            f"{seconds:g} s (EMSERVE_UPLOAD_IDLE_SECONDS). Nothing of it was kept; send the file again."
        )


class JobNotFound(UserError):
    slug = "job-not-found"
    title = "No such job"
    status = 404

    def __init__(self, job_id: str) -> None:
        super().__init__(f"There is no job {job_id!r}. GET /v1/jobs (`emserve jobs`) lists those there are.")


class JobDeleted(JobNotFound):
    """There was such a job: whoever only asks whether there is one need not tell the two apart."""

    slug = "job-deleted"
    title = "The job was deleted"
    status = 410

    def __init__(self, job_id: str, deleted_at: datetime) -> None:
        EmserveError.__init__(
            self,
            f"The job {job_id} was deleted on {deleted_at:%Y-%m-%d} at {deleted_at:%H:%M:%S} UTC, with its "
            "image and its results. Submit the image again if you need them.",
        )


class ResultNotReady(UserError):
    slug = "result-not-ready"
    title = "The job has not ended yet"
    status = 409


class NoResult(UserError):
    """The job ended without a result; `str` is the reason."""

    slug = "no-result"
    title = "The job has no result"
    status = 409


class ChunkNotFound(UserError):
    slug = "chunk-not-found"
    title = "No such part of the label map"
    status = 404

    def __init__(self, job_id: str, path: str) -> None:
        super().__init__(
            f"The label map of the job {job_id} has no part {path[:100]!r}: a chunk that is missing holds "
            "background, or is not written yet."
        )


class NotAcceptable(UserError):
    slug = "not-acceptable"
    title = "No such format"
    status = 406


class BrokerUnavailable(EmserveError):
    slug = "broker-unavailable"
    title = "The job queue cannot be reached"
    status = 503


class ServiceStopping(EmserveError):
    slug = "service-stopping"
    title = "The service is stopping"
    status = 503

    def __init__(self) -> None:
        super().__init__(
            "The service was told to stop before this request was answered. Send it again as soon as the "
            "service is back; an upload that was cut off has made no job."
        )


class StorageUnavailable(EmserveError):
    slug = "storage-unavailable"
    title = "The storage cannot be reached"
    status = 503

    def __init__(self, detail: str, *, cause: str = "") -> None:
        super().__init__(detail)
        self.cause = cause


class FileRefused(StorageUnavailable):
    """The disk is there, and does not open this file or folder: it is somebody else's, or of another kind."""

    def __init__(self, cause: str) -> None:
        super().__init__("The storage refuses one of its files; the server's log says which.", cause=cause)


class RecordUnreadable(EmserveError):
    """What is stored of a job is damaged, refused by the disk, or another version's."""

    slug = "unreadable-record"
    title = "The job's record cannot be read"

    why = "it is damaged, its files are gone or may not be opened, or a newer version of the service wrote it"

    def __init__(self, job_id: str, *, cause: str = "") -> None:
        super().__init__(
            f"What is stored of the job {job_id} cannot be read: {self.why}. Other jobs are as they were. "
            "This one can be deleted, and sent again."
        )
        self.cause = cause


class RecordTooNew(RecordUnreadable):
    """A record of a form that was made up later than this version."""

    why = "it was written by a newer version of the service, which can read it"


class BrokerFull(BrokerUnavailable):
    """The broker is there, and cannot write its file."""

    slug = "broker-full"
    title = "The job queue's disk is full"
    status = 507


class TooManyUploads(EmserveError):
    slug = "too-many-uploads"
    title = "Too many uploads at once"
    status = 503

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} uploads are on their way already, as many as this server takes at once "
            "(EMSERVE_MAX_UPLOADS). Try again after the seconds in Retry-After."
        )
        self.limit = limit


class TooManyRenderings(EmserveError):
    slug = "too-many-renderings"
    title = "Too many renderings at once"
    status = 503

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} results are being rendered or wait for it, as many as this server lets wait "
            "(EMSERVE_MAX_RENDERINGS). Try again after the seconds in Retry-After."
        )
        self.limit = limit


class QueueFull(EmserveError):
    slug = "queue-full"
    title = "Too many jobs wait"
    status = 503

    def __init__(self, waiting: int, limit: int) -> None:
        super().__init__(
            f"{waiting} jobs wait, and this server lets {limit} wait (EMSERVE_MAX_QUEUED_JOBS). Try again "
            "after the seconds in Retry-After, or cancel jobs that are not needed."
        )
        self.given = waiting
        self.limit = limit


class StorageFull(EmserveError):
    slug = "storage-full"
    title = "The server's disk is full"
    status = 507

    def __init__(self, what: str, *, given: int | None = None, limit: int | None = None) -> None:
        """`given` bytes of `limit`, where both are known: what is needed and what is free, or what would stay
        free and what must."""
        super().__init__(
            f"The server's disk has no room for {what}. Nothing of it was kept; try again once the operator "
            "has made room in EMSERVE_DATA_DIR."
        )
        self.given, self.limit = given, limit


class JobTimedOut(EmserveError):
    slug = "job-timed-out"
    title = "The job ran too long"

    def __init__(self, limit_seconds: float) -> None:
        super().__init__(
            f"The job was stopped after {limit_seconds:g} s, the longest that this server lets an image "
            "take, or a volume from one slice to the next (EMSERVE_JOB_TIMEOUT_SECONDS)."
        )


class OutOfMemory(EmserveError):
    slug = "out-of-memory"
    title = "The job needed too much memory"


class JobLost(EmserveError):
    slug = "job-lost"
    title = "The job was lost too often"

    def __init__(self, attempts: int, fruitless: int) -> None:
        super().__init__(
            f"The process that ran this job died, or lost the storage or its scratch folder, {attempts} "
            f"times, and in the last {fruitless} it got no further. The server's log has the reason; submit "
            "the image again once it is mended."
        )


class HelperDied(EmserveError):
    """A helper process ended in mid-work; `str` says how."""

    slug = "helper-died"
    title = "A helper process of the service died"
