"""A volume whose worker is killed or stopped: it goes on where it was, and gives what it would have given."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emserve import storage
from emserve.jobs import MAX_ATTEMPTS, Job, JobStatus, Stage
from emserve.params import Parameters
from tests.integration.workshop import Worker, Workshop, eventually
from training.phantoms import make_volume_phantom
from workers.images.label_map import open_labels

_PARAMS = Parameters(mode="stack", downsampling=4, min_size=100, min_extent=1, median_slices=1)


@pytest.fixture(scope="module")
def volume() -> NDArray[np.uint8]:
    """Of several ranges of slices, which are inferred one after the other."""
    small = make_volume_phantom(4, (6, 256, 256), (25.0, 10.0, 10.0)).image
    return np.tile(np.concatenate([small, small[::-1], small]), (1, 4, 4))


@pytest.fixture(scope="module")
def workshop(vacant: Workshop) -> Workshop:
    """Nobody takes a job here but whom a test hires."""
    return vacant


@pytest.fixture(scope="module")
def worker(workshop: Workshop) -> Iterator[Worker]:
    with workshop.worker() as hired:
        yield hired


def ledger(workshop: Workshop, job_id: str) -> dict[str, int]:
    """What is noted as finished, and when it was written."""
    folder = workshop.data_dir / "store" / storage.ledger_prefix(job_id)
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if _is_whole(path)}


def _is_whole(path: Path) -> bool:
    return path.is_file() and "#" not in path.name


def labels(workshop: Workshop, job: Job) -> NDArray[np.integer]:
    end = workshop.book.end_of(job.id)
    assert end is not None
    assert end.execution_id is not None
    return np.asarray(
        open_labels(workshop.book.store, storage.labels_prefix(job.id, end.execution_id)).array[:]
    )


def kill(workshop: Workshop, worker: Worker, job_id: str, attempt: int, where: Stage, notes: int) -> None:
    """Kills the worker's child as soon as the job has so many notes and is at the stage `where` or beyond."""
    stages = list(Stage)

    def look() -> bool:
        job = workshop.book.read(job_id)
        there = job.stage is not None and stages.index(job.stage) >= stages.index(where)
        return there and job.attempt == attempt and len(ledger(workshop, job_id)) >= notes

    eventually(look, f"attempt {attempt} at {where} with {notes} notes")
    worker.child.kill()


def test_a_volume_survives_more_deaths_than_an_image_repeats_no_range_and_gives_the_same_labels(
    workshop: Workshop, worker: Worker, volume: NDArray[np.uint8]
) -> None:
    whole = workshop.succeeded(workshop.submit(volume, _PARAMS))
    job_id = workshop.submit(volume, _PARAMS)
    noted: dict[str, int] = {}
    deaths = ((Stage.INFER, 1), (Stage.INFER, 2), (Stage.GROUP, 3), (Stage.WRITE, 3))
    assert len(deaths) > MAX_ATTEMPTS
    for attempt, (stage, notes) in enumerate(deaths, 1):
        kill(workshop, worker, job_id, attempt, stage, notes)
        left = ledger(workshop, job_id)
        assert noted.items() <= left.items(), "what was finished was not computed again"
        noted = left

    job = workshop.succeeded(job_id)

    assert job.attempt == len(deaths) + 1
    np.testing.assert_array_equal(labels(workshop, job), labels(workshop, whole))
    assert ledger(workshop, job_id) == {}
    *dead, _ = workshop.attempt_folders(job_id)
    assert [path.name for folder in dead for path in folder.rglob("*")] == ["attempt.json"] * len(dead)


def test_a_cancelled_volume_leaves_the_device_within_two_seconds_and_nothing_behind(
    workshop: Workshop, worker: Worker, volume: NDArray[np.uint8]
) -> None:
    job_id = workshop.submit(volume, _PARAMS)
    eventually(lambda: ledger(workshop, job_id), "the first range's note")
    child = worker.child

    asked = time.monotonic()
    workshop.book.cancel(job_id)
    eventually(lambda: not child.is_running(), "the child's end", 5)

    assert time.monotonic() - asked < 2
    assert workshop.ended(job_id).status is JobStatus.CANCELLED
    eventually(lambda: not ledger(workshop, job_id), "the notes' end, which comes after the job's")
    (attempt,) = workshop.attempt_folders(job_id)
    assert [path.name for path in attempt.rglob("*")] == ["attempt.json"]
    scratch = workshop.data_dir / "scratch"
    eventually(lambda: not any(scratch.iterdir()), "an empty scratch folder")


def test_a_deleted_volume_leaves_nothing_but_its_tombstone(
    workshop: Workshop, worker: Worker, volume: NDArray[np.uint8]
) -> None:
    job_id = workshop.submit(volume, _PARAMS)
    eventually(lambda: ledger(workshop, job_id), "the first range's note")
    child = worker.child
    workshop.book.delete(job_id)
    eventually(lambda: not child.is_running(), "the child's end", 5)
    folder = workshop.data_dir / "store" / storage.job_prefix(job_id)
    eventually(lambda: not folder.exists(), "the folder's end")
