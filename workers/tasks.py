"""The one task of a worker: an attempt at a job, from the stored upload to the stored result."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import obstore
import torch
from obstore.store import ObjectStore

from emserve import storage
from emserve.cards import ModelCard
from emserve.errors import EmserveError, OutOfMemory
from emserve.imaging import Decode
from emserve.jobs import ImageSource, JobEnd, JobRecord, JobResult, JobStatus, Stage
from workers.bench import Bench
from workers.images.label_map import label_dtype, write_labels
from workers.images.objects_file import write_objects
from workers.inference import pipeline
from workers.inference.preprocess import GreyImage
from workers.messages import Assignment
from workers.progress import ProgressReporter
from workers.provenance import Run, provenance
from workers.scratch import scratch_folder

log = logging.getLogger(__name__)

PRECISION = "fp32"


class InternalError(EmserveError):
    """A fault of ours; the log has the stack."""

    slug = "internal-error"


@dataclass(frozen=True)
class _Attempt:
    """What one attempt needs at every step."""

    bench: Bench
    assignment: Assignment
    record: JobRecord
    progress: ProgressReporter
    scratch: Path
    started_at: datetime

    @property
    def store(self) -> ObjectStore:
        return self.bench.book.store

    @property
    def pixel_size_nm(self) -> tuple[float, float] | None:
        size = self.record.input.pixel_size_nm
        return None if size is None else (size[0], size[1])


def segment(bench: Bench, assignment: Assignment) -> None:
    """Runs one attempt and writes the job's end, whichever it is.

    Raises StorageUnavailable and whatever else keeps the end from being written.
    """
    started_at = datetime.now(UTC)
    try:
        with (
            _reasons_told(),
            scratch_folder(bench.settings.scratch_dir, assignment.execution_id) as scratch,
        ):
            record = bench.book.record(assignment.job_id)
            progress = ProgressReporter(bench.book, assignment.job_id, assignment.attempt, started_at)
            end = _run(_Attempt(bench, assignment, record, progress, scratch, started_at))
    except EmserveError as error:
        log.warning("job failed", extra={"problem": error.slug, "reason": str(error)})
        end = bench.book.failed_end(error, assignment.attempt, started_at)
    bench.book.finish(assignment.job_id, end)


def _run(attempt: _Attempt) -> JobEnd:
    image = _decode(attempt)
    card = attempt.bench.catalogue.runnable(attempt.record.model.id)
    request = pipeline.Request2D(image, attempt.pixel_size_nm, attempt.record.params, card)
    found = pipeline.segment(request, attempt.bench.engine(card), attempt.progress)
    attempt.progress(Stage.WRITE, 0, 1, "files")
    labels = found.labels.astype(label_dtype(int(found.labels.max(initial=0))))
    job_id, execution_id = attempt.record.id, attempt.assignment.execution_id
    write_labels(attempt.store, storage.labels_prefix(job_id, execution_id), labels, attempt.pixel_size_nm)
    write_objects(attempt.store, storage.objects_key(job_id, execution_id), found.objects.columns)
    attempt.progress.close()
    result = JobResult(
        objects=len(found.objects),
        dtype=str(labels.dtype),
        shape=list(labels.shape),
        axes="YX",
        downsampling=pipeline.downsampling_of(attempt.record.params),
        device=attempt.bench.device,
        precision=PRECISION,
        seconds=attempt.progress.seconds,
    )
    _write_provenance(attempt, result, card)
    return JobEnd(
        status=JobStatus.SUCCEEDED,
        attempt=attempt.assignment.attempt,
        execution_id=execution_id,
        started_at=attempt.started_at,
        finished_at=datetime.now(UTC),
        result=result,
        warnings=list(found.warnings),
    )


def _decode(attempt: _Attempt) -> GreyImage:
    """The upload's grey image, decoded by a process that may die of it."""
    attempt.progress(Stage.DECODE, 0, 1, "images")
    settings = attempt.bench.settings
    call = Decode(
        storage_url=settings.storage_url,
        key=storage.input_key(attempt.record.id),
        source=ImageSource.of(attempt.record.params),
        out=attempt.scratch / "image.npy",
    )
    decoded = attempt.bench.imaging.call(call, timeout_s=settings.job_timeout_seconds)
    image: GreyImage = np.load(decoded.path, mmap_mode="r", allow_pickle=False)
    return image


def _write_provenance(attempt: _Attempt, result: JobResult, card: ModelCard) -> None:
    run = Run(attempt.record, attempt.assignment, result, card, attempt.started_at)
    key = storage.provenance_key(attempt.record.id, attempt.assignment.execution_id)
    with storage.storage_errors():
        obstore.put(attempt.store, key, provenance(run).model_dump_json(indent=2).encode())


@contextmanager
def _reasons_told() -> Iterator[None]:
    """Translates what is no EmserveError: memory that ran out, and faults of ours."""
    try:
        yield
    except EmserveError:
        raise
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _out_of_memory() from error
    except Exception as error:
        if isinstance(error, RuntimeError) and "allocate memory" in str(
            error
        ):  # torch's word for it on a CPU
            raise _out_of_memory() from error
        log.exception("an attempt failed unexpectedly")
        raise InternalError(
            "The service failed while it worked on this job; the server's log has the reason under the job's "
            "id. The same job may succeed once that is mended."
        ) from error


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory(
        "The device has too little free memory for this image. A larger `downsampling`, or an image cut into "
        "parts, needs less."
    )
