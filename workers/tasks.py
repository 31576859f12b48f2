"""The one task of a worker: an attempt at a job, from the stored upload to the stored result."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import obstore

from emserve import storage
from emserve.errors import EmserveError, ErrorKind, HelperDied, StorageFull, StorageUnavailable
from emserve.jobs import JobEnd, JobResult, JobStatus, JobWarning
from emserve.scratch import ScratchUnusable, scratch_folder
from emserve.scratch import probe as probe_scratch
from emserve.tally import Event
from workers.attempt import Attempt
from workers.bench import Bench
from workers.image_task import segment_image
from workers.images.objects_file import write_objects
from workers.inference.engine import DeviceUnusable
from workers.inference.engine import probe as probe_device
from workers.inference.rows import Workspace
from workers.messages import Assignment
from workers.progress import ProgressReporter
from workers.provenance import Run, provenance
from workers.volume_task import segment_volume

log = logging.getLogger(__name__)

_WAIT_SECONDS = 1.0


class InternalError(EmserveError):
    """A fault of ours; the log has the stack."""

    slug = "internal-error"


def segment(bench: Bench, assignment: Assignment, on_step: Callable[[], None]) -> None:
    """Runs one attempt and writes the job's end, whichever it is; `on_step` hears of each step of a volume.

    The end waits for a full disk's room, and for a storage that is away. Raises StorageUnavailable where the
    storage went away earlier, ScratchUnusable, and DeviceUnusable; the job has no end then.
    """
    started_at = datetime.now(UTC)
    try:
        with (
            _reasons_told(bench),
            scratch_folder(bench.settings.scratch_dir, assignment.execution_id) as scratch,
            Workspace(scratch) as workspace,
        ):
            record = bench.book.record(assignment.job_id)
            progress = ProgressReporter(bench.book, record, assignment.attempt, started_at)
            card = bench.pinned(record.model)
            attempt = Attempt(bench, assignment, record, progress, scratch, started_at, card, on_step)
            end = _run(attempt, workspace)
    except (StorageUnavailable, ScratchUnusable, DeviceUnusable):
        raise  # no fault of the job, which may succeed once it is back
    except EmserveError as error:
        # What is wrong with somebody's image is theirs to read, with the names in it.
        reason = {} if error.kind is ErrorKind.USER else {"reason": error.for_operators}
        log.warning("job failed", extra={"problem": error.slug, **reason})
        end = bench.book.failed_end(error, assignment.attempt, started_at)
        with suppress(StorageUnavailable):  # on a full disk the end needs the room
            bench.book.attempts.clear(assignment.job_id, assignment.execution_id)
    standing = _finish(bench, assignment.job_id, end)
    if end.result is not None and standing.execution_id == assignment.execution_id:
        bench.tell_speed(card, record.input.pixels, end.result.seconds.get("infer", 0))
        for stage, seconds in end.result.seconds.items():
            bench.book.tally.add(Event.STAGE_SECONDS, stage, seconds)


def _finish(bench: Bench, job_id: str, end: JobEnd) -> JobEnd:
    """Writes the end as soon as the storage takes it; the supervisor's limits hold meanwhile. Returns the one
    that stands: another attempt, or somebody who cancelled the job, may have been first."""
    while True:
        try:
            return bench.book.finish(job_id, end)
        except (StorageFull, StorageUnavailable) as error:
            log.warning(
                "the storage does not take the job's end, which waits", extra={"reason": error.for_operators}
            )
            time.sleep(_WAIT_SECONDS)


def _run(attempt: Attempt, workspace: Workspace) -> JobEnd:
    is_volume = attempt.record.input.is_volume
    found = segment_volume(attempt, workspace) if is_volume else segment_image(attempt, workspace)
    key = storage.objects_key(attempt.job_id, attempt.execution_id)
    write_objects(attempt.store, key, found.objects.columns)
    attempt.progress.close()
    result = JobResult(
        objects=len(found.objects),
        classes=attempt.card.class_names,
        dtype=found.dtype,
        shape=found.shape,
        axes=found.axes,
        downsampling=found.downsampling,
        device=attempt.bench.device,
        precision=attempt.bench.settings.precision,
        seconds=attempt.progress.seconds,
    )
    _write_provenance(attempt, result, found.warnings)
    return JobEnd(
        status=JobStatus.SUCCEEDED,
        attempt=attempt.assignment.attempt,
        execution_id=attempt.execution_id,
        started_at=attempt.started_at,
        finished_at=datetime.now(UTC),
        result=result,
        warnings=list(found.warnings),
    )


def _write_provenance(attempt: Attempt, result: JobResult, warnings: tuple[JobWarning, ...]) -> None:
    run = Run(
        record=attempt.record,
        assignment=attempt.assignment,
        result=result,
        card=attempt.card,
        weights_sha256=attempt.bench.shelf.sha256(attempt.card),
        warnings=warnings,
        started_at=attempt.started_at,
    )
    key = storage.provenance_key(attempt.job_id, attempt.execution_id)
    with storage.storage_errors():
        obstore.put(attempt.store, key, provenance(run).model_dump_json(indent=2).encode())


@contextmanager
def _reasons_told(bench: Bench) -> Iterator[None]:
    """Translates what is no EmserveError: a full disk, a scratch folder that is gone, a device that computes
    nothing more, and faults of ours."""
    scratch_dir = bench.settings.scratch_dir
    try:
        yield
    except HelperDied:
        probe_scratch(scratch_dir)  # it writes there, too
        raise
    except EmserveError:
        raise
    except Exception as error:
        if storage.is_full(error):
            raise StorageFull("what this job needs while it runs") from error
        if isinstance(error, OSError) and str(error.filename).startswith(f"{scratch_dir}/"):
            raise ScratchUnusable(scratch_dir, str(error.strerror)) from error
        log.exception("an attempt failed unexpectedly")
        probe_device(bench.device)
        raise InternalError(
            "The service failed while it worked on this job; the server's log has the reason under the job's "
            "id. The same job may succeed once that is mended."
        ) from error
