"""Provenance: everything that one needs to know to get the same labels again."""

import platform
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from emserve.cards import ModelCard
from emserve.jobs import JobRecord, JobResult, JobWarning, Provenance
from workers.messages import Assignment

_PACKAGES = ("emserve", "torch", "numpy", "scipy", "tifffile", "imagecodecs", "pillow", "simplejpeg", "zarr")


@dataclass(frozen=True)
class Run:
    """A finished attempt."""

    record: JobRecord
    assignment: Assignment
    result: JobResult
    card: ModelCard
    weights_sha256: str
    """Of the file that was loaded; a card that was written by hand may not say it."""
    warnings: tuple[JobWarning, ...]
    """Of the attempt, besides those that the job was accepted with."""
    started_at: datetime


def provenance(run: Run) -> Provenance:
    return Provenance(
        job_id=run.record.id,
        execution_id=run.assignment.execution_id,
        attempt=run.assignment.attempt,
        input=run.record.input,
        model=run.record.model.model_copy(update={"sha256": run.weights_sha256}),
        architecture=run.card.architecture,
        norms=run.card.norms,
        padding_factor=run.card.padding_factor,
        params=run.record.params,
        warnings=[*run.record.warnings, *run.warnings],
        device=run.result.device,
        precision=run.result.precision,
        software=_software(),
        created_at=run.record.created_at,
        started_at=run.started_at,
        seconds=run.result.seconds,
    )


def _software() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return versions
