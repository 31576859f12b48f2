"""A job whose process is killed in mid-run."""

import subprocess
import sys
from multiprocessing import Pipe
from pathlib import Path

from emserve.jobs import JobStatus
from tests.integration.workshop import Worker, Workshop, eventually, is_gone, record_of
from tests.pictures import large_image
from tests.running_service import environment

_LONG = large_image(1024)


def test_a_job_whose_child_is_killed_is_run_again_and_succeeds(workshop: Workshop, worker: Worker) -> None:
    job_id = workshop.submit(_LONG)
    workshop.runs(job_id)
    (first,) = workshop.attempt_folders(job_id)
    (first / "labels.zarr").mkdir()
    (first / "labels.zarr" / "half").write_bytes(b"half a chunk")
    worker.child.kill()

    job = workshop.succeeded(job_id)

    assert job.attempt == 2
    assert job.result is not None
    assert job.result.objects > 0
    assert workshop.book.attempts.count(job_id) == 2
    left = [path.name for path in first.rglob("*") if path.is_file()]
    assert left == ["attempt.json"], "what it wrote is cleared, and it stays counted"


def test_a_job_whose_child_is_killed_three_times_fails_as_lost(workshop: Workshop, worker: Worker) -> None:
    job_id = workshop.submit(_LONG)
    for attempt in (1, 2, 3):
        workshop.runs(job_id, attempt)
        worker.child.kill()

    job = workshop.ended(job_id)

    assert job.status is JobStatus.FAILED
    assert job.attempt == 3
    assert job.error is not None
    assert job.error.type == "urn:emserve:problem:job-lost"
    assert job.error.kind == "system"
    assert job_id not in workshop.book.tickets.waiting()
    workshop.succeeded(workshop.submit(large_image(256)))


def test_a_child_that_dies_between_two_jobs_is_replaced(workshop: Workshop, worker: Worker) -> None:
    before = worker.child
    before.kill()
    job_id = workshop.submit(large_image(256))

    job = workshop.succeeded(job_id)

    assert worker.child.pid != before.pid
    assert job.attempt == 1, "a death between two jobs costs the next one nothing"


def test_a_job_that_is_handed_to_a_dying_child_costs_no_attempt(workshop: Workshop, worker: Worker) -> None:
    # A child that is stopped between a job's end and its word about it would be waited for.
    eventually(lambda: not workshop.book.tickets.leased(), "the end of the job before")
    child = worker.child
    child.suspend()  # it lives, but does not take the job
    try:
        job_id = workshop.submit(large_image(256))
        eventually(lambda: workshop.attempt_folders(job_id), "the attempt's note")
    finally:
        child.kill()

    assert workshop.succeeded(job_id).attempt == 1
    assert workshop.book.attempts.count(job_id) == 1


def test_a_job_whose_device_computes_nothing_more_is_tried_by_a_new_child(vacant: Workshop) -> None:
    # Of torch's devices the one called meta holds a network and fails at whatever wants a value, as a GPU
    # does after some errors.
    with vacant.worker(device="meta") as worker:
        child = worker.child
        job_id = vacant.submit(large_image(256))
        eventually(
            lambda: vacant.book.read(job_id).attempt == 2 or vacant.book.end_of(job_id), "its next attempt"
        )
        assert vacant.book.end_of(job_id) is None
        assert is_gone(child)
        assert "The device meta computes nothing more for this process" in worker.log
        assert '"reason": "exit status 1"' in worker.log
        vacant.book.cancel(job_id)
        vacant.ended(job_id)


# It hangs up on its supervisor when there is a file; one thread keeps all others from going on and it from
# ending.
_SPEECHLESS = """
import os, pathlib, socket, sys, threading, time
trouble = pathlib.Path({trouble!r})
def hang():
    while not trouble.exists():
        time.sleep(0.02)
    trouble.unlink()
    sys.setswitchinterval(3600)
    socket.socket(fileno=os.dup(int(sys.orig_argv[-2]))).shutdown(socket.SHUT_RDWR)
    while True:
        pass
if "workers.child" in sys.orig_argv:
    threading.Thread(target=hang).start()
"""


def test_a_child_that_hangs_up_and_does_not_end_is_killed(vacant: Workshop, tmp_path: Path) -> None:
    trouble = tmp_path / "trouble"
    (tmp_path / "sitecustomize.py").write_text(_SPEECHLESS.format(trouble=str(trouble)))
    with vacant.worker(PYTHONPATH=str(tmp_path)) as worker:
        child = worker.child
        job_id = vacant.submit(_LONG)
        vacant.runs(job_id)
        trouble.touch()
        assert vacant.succeeded(job_id).attempt == 2
        assert is_gone(child)
        assert "killed by SIGKILL" in worker.log


def test_an_error_that_leaves_the_device_well_ends_the_job_and_spares_the_child(
    workshop: Workshop, worker: Worker
) -> None:
    child = worker.child
    record = record_of((3, 64, 64))
    strange = record.input.model_copy(update={"dtype": "unheard-of"})
    workshop.book.accept(record.model_copy(update={"input": strange}))

    job = workshop.ended(record.id)

    assert job.error is not None
    assert (job.error.type, job.attempt) == ("urn:emserve:problem:internal-error", 1)
    workshop.succeeded(workshop.submit(large_image(256)))
    assert worker.child == child


def test_a_child_whose_supervisor_went_while_it_warmed_ends_quietly(tmp_path: Path) -> None:
    ours, its = Pipe()
    ours.close()
    done = subprocess.run(
        [sys.executable, "-m", "workers.child", str(its.fileno()), "cpu"],
        env=environment(EMSERVE_DATA_DIR=str(tmp_path)),
        pass_fds=(its.fileno(),),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    its.close()
    assert done.returncode == 0, done.stderr
    assert "the supervisor is gone" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
