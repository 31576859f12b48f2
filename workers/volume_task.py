"""An attempt at one volume: copied into bricks, segmented slice by slice, its label map stored."""

import shutil
from contextlib import closing

import obstore
import torch

import emserve
from emserve import storage
from emserve.errors import StorageFull
from emserve.imaging import CopySlices
from emserve.jobs import ImageSource, Stage
from emserve.volumes import Room
from workers.attempt import Attempt, Finding
from workers.images.bricks import Bricks
from workers.images.label_map import create_labels, label_dtype
from workers.images.label_writer import LabelWriter
from workers.images.montage import Layout, MontageLabels, pack, shrunk_plane
from workers.inference.rows import Workspace
from workers.inference.volume import pipeline
from workers.inference.volume.request import LabelVolume, Request3D
from workers.stored_ledger import StoredLedger

Voxel = tuple[float, float, float]


def segment_volume(attempt: Attempt, workspace: Workspace) -> Finding:
    """Raises StorageFull before the start where the scratch disk is too small, and what decoding and
    `pipeline.segment_volume` raise."""
    _check_room(attempt)

    def on_progress(stage: Stage, done: int, total: int, unit: str) -> None:
        attempt.progress(stage, done, total, unit)
        attempt.on_step()

    with closing(_working_copy(attempt)) as source:
        engine = attempt.bench.engine(attempt.card)
        request = Request3D(
            source=source,
            voxel_size_nm=_voxel_size(attempt),
            params=attempt.record.params,
            card=attempt.card,
            identity=_identity(attempt),
        )
        ledger = StoredLedger(attempt.store, attempt.job_id)
        found = pipeline.segment_volume(request, engine, workspace, ledger, on_progress)
        dtype = _write_labels(attempt, found.labels, source)
    return Finding(
        objects=found.objects,
        shape=list(source.shape),
        axes="ZYX",
        dtype=dtype,
        downsampling=int(attempt.record.params.downsampling),
        warnings=found.warnings,
    )


def _check_room(attempt: Attempt) -> None:
    """Another worker, or a disk that has filled since, may have less room than the API saw."""
    given = attempt.record.input
    classes = len(attempt.card.class_names)
    needed = Room.of(given.shape, given.dtype, attempt.record.params, classes).scratch
    free = shutil.disk_usage(attempt.scratch).free
    if free < needed:
        raise StorageFull(
            f"this volume while it is worked on: it takes about {needed} bytes, and the worker has {free}",
            given=needed,
            limit=free,
        )


def _working_copy(attempt: Attempt) -> Bricks:
    """The upload's volume, copied by a process that may die of it, a few seconds' slices at a time."""
    given, settings = attempt.record.input, attempt.bench.settings
    depth, height, width = given.shape
    path = attempt.scratch / "volume.bricks"
    begin = 0
    while begin < depth:
        attempt.progress(Stage.DECODE, begin, depth, "slices")
        attempt.on_step()
        call = CopySlices(
            storage_url=settings.storage_url,
            key=storage.input_key(attempt.job_id),
            source=ImageSource.of(attempt.record.params),
            out=path,
            begin=begin,
        )
        begin = attempt.bench.imaging.call(call, timeout_s=settings.job_timeout_seconds).copied_until
    return Bricks(path, (depth, height, width), given.dtype)


def _voxel_size(attempt: Attempt) -> Voxel | None:
    size = attempt.record.input.pixel_size_nm
    return None if size is None else (size[0], size[1], size[2])


def _identity(attempt: Attempt) -> str:
    """Everything beside the image and the parameters that the network's answers depend on, bit for bit."""
    device = torch.device(attempt.bench.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu:{torch.get_num_threads()}"
    parts = (
        attempt.bench.shelf.sha256(attempt.card),
        where,
        attempt.bench.settings.precision,
        torch.__version__,
        emserve.__version__,
    )
    return "|".join(parts)


def _write_labels(attempt: Attempt, labels: LabelVolume, source: Bricks) -> str:
    """Stores the label map slice by slice, and what a preview needs of it; the name of its data type."""
    depth = labels.shape[0]
    dtype = label_dtype(labels.count)
    stored = create_labels(attempt.store, attempt.labels_prefix, labels.shape, dtype, _voxel_size(attempt))
    writer = LabelWriter(stored)
    layout = Layout.of(labels.shape, _voxel_size(attempt))
    planes = MontageLabels(layout)
    for z in range(depth):
        attempt.progress(Stage.WRITE, z, depth, "slices")
        attempt.on_step()
        slice_labels = labels.read(z, z + 1)[0]
        writer.add(slice_labels)
        planes.add(z, slice_labels)
    writer.finish()
    _store_montage(attempt, layout, planes, source)
    return str(dtype)


def _store_montage(attempt: Attempt, layout: Layout, planes: MontageLabels, source: Bricks) -> None:
    greys = [
        shrunk_plane(source.planes(axis, middle, middle + 1)[0], layout.sides(axis))
        for axis, middle in enumerate(layout.middle)
    ]
    key = storage.montage_key(attempt.job_id, attempt.execution_id)
    with storage.storage_errors():
        obstore.put(attempt.store, key, pack(greys, planes.planes, layout.middle))
