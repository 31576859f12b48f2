"""`emserve up --api-only` and `emserve worker` do a job together."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from emserve.broker import EmbeddedBroker
from emserve.settings import Settings
from tests.integration.api_calls import read, submit, succeeded
from tests.integration.workshop import eventually
from tests.pictures import large_image
from tests.running_service import RunningService, environment, running_service


@contextlib.contextmanager
def _worker(log: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """`emserve worker`; stopped by Ctrl-C afterwards, which must go well."""
    command = [sys.executable, "-m", "emserve.cli", "worker", "--device", "cpu", "--threads", "1", *options]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env=environment(), stdout=output, stderr=output, start_new_session=True
        )
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0, log.read_text()[-2000:]
    finally:
        process.kill()
        process.wait()


def _do_a_job_together(service: RunningService, log: Path, *options: str) -> None:
    with service.client() as http:
        job_id = submit(http, large_image(256))
        job = read(http, job_id)
        assert "no-worker" in [warning.code for warning in job.warnings]
        assert http.get("/readyz", params={"require": "worker"}).status_code == 503
        with _worker(log, *options):
            succeeded(http, job_id)
        eventually(lambda: http.get("/readyz").json()["workers"] == [], "the worker's good-bye", 5)
        assert service.process.poll() is None


def test_a_worker_joins_the_service_of_the_same_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running_service(data, "--api-only") as service:
        _do_a_job_together(service, tmp_path / "worker.log", "--data-dir", str(data))


def test_a_service_and_a_worker_meet_on_a_redis_of_somebody_else(tmp_path: Path) -> None:
    other = Settings(data_dir=tmp_path / "other")
    storage = (tmp_path / "storage").as_uri()
    shared = ("--redis", other.redis_url, "--storage", storage)
    with (
        EmbeddedBroker(other),
        running_service(tmp_path / "api", "--api-only", *shared) as service,
    ):
        _do_a_job_together(service, tmp_path / "worker.log", "--data-dir", str(tmp_path / "work"), *shared)
    assert list((tmp_path / "storage" / "jobs").iterdir())
