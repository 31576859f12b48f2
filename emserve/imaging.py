"""What is said to the processes that read image files and render results.

Whoever calls needs no decoder and no array: a request and its answer are one JSON line each, over the
standard input and output of `python -m workers.images`.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from emserve import storage
from emserve.errors import EmserveError, FieldError
from emserve.jobs import Frozen, ImageHeader, ImageSource, Pointed
from emserve.region import Region


class ResultFormat(StrEnum):
    """What a result can be rendered as."""

    OME_TIFF = "ome-tiff"  # the label map: tiled, zlib, pixel size, a pyramid when it is large
    TIFF = "tiff"  # the label map as ImageJ reads it
    NPY = "npy"  # the label map as one numpy array
    ZARR = "zarr"  # the label map as it is stored, in a zip
    PNG = "png"  # the label map, 16 bit
    JSON = "json"  # the objects
    CSV = "csv"  # the objects
    PREVIEW = "preview"  # the image with coloured outlines, for the eye

    @property
    def media_type(self) -> str:
        return _FILES[self][1]

    @property
    def extension(self) -> str:
        return _FILES[self][2]

    @property
    def filename(self) -> str:
        """The rendered file's name in storage."""
        return _FILES[self][0] + _FILES[self][2]


_FILES = {
    ResultFormat.OME_TIFF: ("labels", "image/tiff", ".ome.tif"),
    ResultFormat.TIFF: ("labels", "image/tiff", ".tif"),
    ResultFormat.NPY: ("labels", "application/x-npy", ".npy"),
    ResultFormat.ZARR: ("labels", "application/zip", ".zarr.zip"),
    ResultFormat.PNG: ("labels", "image/png", ".png"),
    ResultFormat.JSON: ("objects", "application/json", ".json"),
    ResultFormat.CSV: ("objects", "text/csv", ".csv"),
    ResultFormat.PREVIEW: ("preview", "image/png", ".png"),
}


class _Call(BaseModel):
    """What every request has."""

    model_config = ConfigDict(frozen=True)

    traces: dict[str, str] = {}
    """What lines of the log about it carry."""


class Inspect(_Call):
    """Read a stored file's header. Answer: ImageHeader."""

    kind: Literal["inspect"] = "inspect"
    storage_url: str
    key: str
    source: ImageSource
    max_pixels: int
    max_voxels: int
    max_pages: int


class Decode(_Call):
    """Write a stored file's grey image to `out` as a C-ordered .npy, axes YX. Answer: Decoded."""

    kind: Literal["decode"] = "decode"
    storage_url: str
    key: str
    source: ImageSource
    out: Path


class CopySlices(_Call):
    """Write slices of a stored file's volume to the working copy `out`, as many as a few seconds allow.
    Answer: Copied."""

    kind: Literal["copy_slices"] = "copy_slices"
    storage_url: str
    key: str
    source: ImageSource
    out: Path
    begin: int
    """The first of them."""


class Render(_Call):
    """Render a result of a job's attempt into storage. Answer: RenderedFile."""

    kind: Literal["render"] = "render"
    storage_url: str
    job_id: str
    execution_id: str
    format: ResultFormat
    source: ImageSource
    scratch_dir: Path
    """Where it may make a folder to work in."""
    class_id: int | None = None
    """Of labels and objects, only those of this class."""
    z: int | None = None
    """Of a volume's preview, the slice that is shown; without it a montage of three planes is made."""

    @property
    def key(self) -> str:
        """Where the rendered file is stored."""
        of_class = "" if self.class_id is None else f"class{self.class_id}-"
        of_slice = "" if self.z is None else f"z{self.z}-"
        return storage.render_key(self.job_id, self.execution_id, of_class + of_slice + self.format.filename)

    @property
    def description_key(self) -> str:
        """Where its RenderedFile is stored, as JSON; written after the file, so it says that it is there."""
        return f"{self.key}.json"


class RenderPart(_Call):
    """Write a part of the label map of a job's attempt to the file `out`. Answer: RenderedFile, of no key."""

    kind: Literal["render_part"] = "render_part"
    storage_url: str
    job_id: str
    execution_id: str
    format: ResultFormat
    region: Region
    class_id: int | None = None
    """Only the objects of this class."""
    out: Path


class RenderChunk(_Call):
    """Write what a stored object of the label map of a job's attempt holds of one class to the file `out`.
    Answer: RenderedFile, of no key."""

    kind: Literal["render_chunk"] = "render_chunk"
    storage_url: str
    job_id: str
    execution_id: str
    path: str
    """The object's name in the map's Zarr."""
    class_id: int
    out: Path


class Decoded(Frozen):
    """The grey image as an array file."""

    path: Path
    shape: list[int]
    """Height, width."""
    dtype: str


class Copied(Frozen):
    """Slices in the working copy of a volume."""

    shape: tuple[int, int, int]
    """Slices, height, width of the volume."""
    dtype: str
    copied_until: int
    """The first slice that is still to be copied; the number of slices when all are there."""


class RenderedFile(Frozen):
    """A result file in storage."""

    key: str
    bytes: int
    sha256: str
    media_type: str
    extension: str


Rendering = Render | RenderPart | RenderChunk
Request = Inspect | Decode | CopySlices | Rendering
Result = ImageHeader | Decoded | Copied | RenderedFile
REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])


class Ready(Frozen):
    """The process has imported everything and waits for requests."""

    kind: Literal["ready"] = "ready"


class Done(Frozen):
    """The request was carried out."""

    kind: Literal["done"] = "done"
    result: Result


class Refused(Frozen):
    """An EmserveError, on its way to be raised again."""

    kind: Literal["refused"] = "refused"
    slug: str
    detail: str
    errors: list[Pointed]
    given: int | None = None
    limit: int | None = None
    cause: str = ""

    @classmethod
    def of(cls, error: EmserveError) -> Self:
        return cls(
            slug=error.slug,
            detail=str(error),
            errors=[Pointed(pointer=each.pointer, detail=each.detail) for each in error.errors],
            given=error.given,
            limit=error.limit,
            cause=error.cause,
        )

    def error(self) -> EmserveError:
        """The error that was raised there."""
        found = next((each for each in _descendants(EmserveError) if each.slug == self.slug), EmserveError)
        # Some causes build their own message; here it is built already.
        error = found.__new__(found)
        EmserveError.__init__(
            error, self.detail, errors=[FieldError(each.pointer, each.detail) for each in self.errors]
        )
        error.given, error.limit, error.cause = self.given, self.limit, self.cause
        return error


class Exhausted(Frozen):
    """The request needed more memory than the process may take; the process ends."""

    kind: Literal["exhausted"] = "exhausted"


class Crashed(Frozen):
    """An unexpected exception, which the process has logged."""

    kind: Literal["crashed"] = "crashed"


Answer = Annotated[Ready | Done | Refused | Exhausted | Crashed, Field(discriminator="kind")]
ANSWER: TypeAdapter[Ready | Done | Refused | Exhausted | Crashed] = TypeAdapter(Answer)


def _descendants(error: type[EmserveError]) -> Iterator[type[EmserveError]]:
    for each in error.__subclasses__():
        yield each
        yield from _descendants(each)
