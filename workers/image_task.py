"""An attempt at one image: decoded, segmented, its label map stored."""

from emserve import storage
from emserve.imaging import Decode
from emserve.jobs import ImageSource, Stage
from workers.attempt import Attempt, Finding
from workers.images.label_map import CHUNK, create_labels, label_dtype
from workers.images.sheet import Sheet
from workers.inference import pipeline
from workers.inference.merge import Merged
from workers.inference.rows import Workspace, bands


def segment_image(attempt: Attempt, workspace: Workspace) -> Finding:
    """Raises what decoding and `pipeline.segment` raise."""
    image = _decode(attempt, workspace)
    size = _pixel_size(attempt)
    request = pipeline.Request2D(image, size, attempt.record.params, attempt.card)
    found = pipeline.segment(request, attempt.bench.engine(attempt.card), workspace, attempt.progress)
    dtype = _write_labels(attempt, found.labels)
    return Finding(
        objects=found.objects,
        shape=list(found.labels.shape),
        axes="YX",
        dtype=dtype,
        downsampling=request.downsampling,
        warnings=found.warnings,
    )


def _pixel_size(attempt: Attempt) -> tuple[float, float] | None:
    size = attempt.record.input.pixel_size_nm
    return None if size is None else (size[0], size[1])


def _decode(attempt: Attempt, workspace: Workspace) -> Sheet:
    """The upload's grey image, decoded by a process that may die of it."""
    attempt.progress(Stage.DECODE, 0, 1, "images")
    settings = attempt.bench.settings
    call = Decode(
        storage_url=settings.storage_url,
        key=storage.input_key(attempt.job_id),
        source=ImageSource.of(attempt.record.params),
        out=attempt.scratch / "image.npy",
    )
    decoded = attempt.bench.imaging.call(call, timeout_s=settings.job_timeout_seconds)
    return workspace.open_npy(decoded.path)


def _write_labels(attempt: Attempt, labels: Merged) -> str:
    """Stores the label map, a row of chunks at a time; the name of its data type."""
    height, width = labels.shape
    dtype = label_dtype(labels.count)
    prefix = attempt.labels_prefix
    stored = create_labels(attempt.store, prefix, (height, width), dtype, _pixel_size(attempt))
    for y0, y1 in bands(height, CHUNK):
        attempt.progress(Stage.WRITE, y0, height, "rows")
        with storage.storage_errors():
            stored.array[y0:y1] = labels.read(y0, y1).astype(dtype)
    return str(dtype)
