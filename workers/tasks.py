"""The one task of a worker: an attempt at a job, from the stored upload to the stored result."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import obstore
from obstore.store import ObjectStore

from emserve import storage
from emserve.cards import ModelCard
from emserve.errors import EmserveError, StorageFull, StorageUnavailable
from emserve.imaging import Decode
from emserve.jobs import ImageSource, JobEnd, JobRecord, JobResult, JobStatus, Stage
from emserve.scratch import scratch_folder
from emserve.tally import Event
from workers.bench import Bench
from workers.images.label_map import CHUNK, create_labels, label_dtype
from workers.images.objects_file import write_objects
from workers.images.sheet import Sheet
from workers.inference import pipeline
from workers.inference.merge import Merged
from workers.inference.rows import Workspace, bands
from workers.messages import Assignment
from workers.progress import ProgressReporter
from workers.provenance import Run, provenance

log = logging.getLogger(__name__)

_ROOM_SECONDS = 1.0


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

    On a full disk it waits for room. Raises StorageUnavailable and whatever else keeps the end from being
    written.
    """
    started_at = datetime.now(UTC)
    try:
        with (
            _reasons_told(),
            scratch_folder(bench.settings.scratch_dir, assignment.execution_id) as scratch,
            Workspace(scratch) as workspace,
        ):
            record = bench.book.record(assignment.job_id)
            progress = ProgressReporter(bench.book, assignment.job_id, assignment.attempt, started_at)
            attempt = _Attempt(bench, assignment, record, progress, scratch, started_at)
            end = _run(attempt, workspace)
    except EmserveError as error:
        log.warning("job failed", extra={"problem": error.slug, "reason": str(error)})
        end = bench.book.failed_end(error, assignment.attempt, started_at)
        with suppress(StorageUnavailable):  # on a full disk the end needs the room
            bench.book.clear_attempt(assignment.job_id, assignment.execution_id)
    _finish(bench, assignment.job_id, end)
    for stage, seconds in (end.result.seconds if end.result else {}).items():
        bench.book.tally.add(Event.STAGE_SECONDS, stage, seconds)


def _finish(bench: Bench, job_id: str, end: JobEnd) -> None:
    """Writes the end as soon as there is room for it; the supervisor's limits hold meanwhile."""
    while True:
        try:
            bench.book.finish(job_id, end)
        except StorageFull:
            log.warning("no room for the job's end; it waits")
            time.sleep(_ROOM_SECONDS)
        else:
            return


def _run(attempt: _Attempt, workspace: Workspace) -> JobEnd:
    image = _decode(attempt, workspace)
    card = attempt.bench.pinned(attempt.record.model)
    request = pipeline.Request2D(image, attempt.pixel_size_nm, attempt.record.params, card)
    found = pipeline.segment(request, attempt.bench.engine(card), workspace, attempt.progress)
    dtype = _write_labels(attempt, found.labels)
    job_id, execution_id = attempt.record.id, attempt.assignment.execution_id
    write_objects(attempt.store, storage.objects_key(job_id, execution_id), found.objects.columns)
    attempt.progress.close()
    result = JobResult(
        objects=len(found.objects),
        classes=card.class_names,
        dtype=dtype,
        shape=list(found.labels.shape),
        axes="YX",
        downsampling=request.downsampling,
        device=attempt.bench.device,
        precision=attempt.bench.settings.precision,
        seconds=attempt.progress.seconds,
    )
    attempt.bench.tell_speed(card, attempt.record.input.pixels, result.seconds.get("infer", 0))
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


def _decode(attempt: _Attempt, workspace: Workspace) -> Sheet:
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
    return workspace.open_npy(decoded.path)


def _write_labels(attempt: _Attempt, labels: Merged) -> str:
    """Stores the label map, a row of chunks at a time; the name of its data type."""
    height, width = labels.shape
    prefix = storage.labels_prefix(attempt.record.id, attempt.assignment.execution_id)
    dtype = label_dtype(labels.count)
    stored = create_labels(attempt.store, prefix, (height, width), dtype, attempt.pixel_size_nm)
    for y0, y1 in bands(height, CHUNK):
        attempt.progress(Stage.WRITE, y0, height, "rows")
        with storage.storage_errors():
            stored.array[y0:y1] = labels.read(y0, y1).astype(dtype)
    return str(dtype)


def _write_provenance(attempt: _Attempt, result: JobResult, card: ModelCard) -> None:
    sha256 = attempt.bench.shelf.sha256(card)
    run = Run(attempt.record, attempt.assignment, result, card, sha256, attempt.started_at)
    key = storage.provenance_key(attempt.record.id, attempt.assignment.execution_id)
    with storage.storage_errors():
        obstore.put(attempt.store, key, provenance(run).model_dump_json(indent=2).encode())


@contextmanager
def _reasons_told() -> Iterator[None]:
    """Translates what is no EmserveError: a full disk, and faults of ours."""
    try:
        yield
    except EmserveError:
        raise
    except Exception as error:
        if storage.is_full(error):
            raise StorageFull("what this job needs while it runs, about 8 bytes a pixel") from error
        log.exception("an attempt failed unexpectedly")
        raise InternalError(
            "The service failed while it worked on this job; the server's log has the reason under the job's "
            "id. The same job may succeed once that is mended."
        ) from error
