"""The logs: a JSON object a line, with the ids of the job and the request it is about, and no secrets."""

import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from emserve import storage
from emserve.broker import server_binary
from tests.integration.api_calls import runs, succeeded
from tests.pictures import large_image, tiff
from tests.running_service import RunningService, running_service

_PASSWORD = "hunter2-of-the-broker"  # noqa: S105 - a secret to look for in the logs
_SECRETS = {
    "Authorization": "Bearer a-key-in-the-header",
    "X-API-Key": "a-key-of-another-kind",
    "Cookie": "session=a-key-in-a-cookie",
}
_PRIVATE = ("patient-0815", "diagnosis-unknown")  # the file's name, and a tag

Line = dict[str, Any]  # a line of a log, whatever it says


@pytest.fixture(scope="module")
def guarded_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, password included, of a server that wants one."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    options = ["--port", port, "--bind", "127.0.0.1", "--requirepass", _PASSWORD, "--save", ""]
    folder = tmp_path_factory.mktemp("guarded")
    server = subprocess.Popen([server_binary(), *options, "--dir", folder], stdout=subprocess.DEVNULL)
    try:
        yield f"redis://:{_PASSWORD}@127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def logs(guarded_broker: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The lines of each part's log, after jobs that went well and badly."""
    folder = tmp_path_factory.mktemp("logs")
    settings, options = {"EMSERVE_REDIS": guarded_broker}, ("--log-dir", str(folder / "logs"))
    with (
        running_service(folder / "data", *options, settings=settings) as service,
        service.client() as http,
    ):
        _use(service, http)
    lines = {path.stem: path.read_text().splitlines() for path in (folder / "logs").glob("*.log")}
    return {**lines, "up": service.log.read_text().splitlines()}


def _use(service: RunningService, http: httpx.Client) -> None:
    """A job whose child dies at first, and a result that cannot be rendered."""
    job_id = _submit(http, "well", large_image(2048))
    runs(http, job_id)
    service.child().kill()
    succeeded(http, job_id)
    end = json.loads((service.data_dir / "store" / storage.end_key(job_id)).read_bytes())
    (service.data_dir / "store" / storage.objects_key(job_id, end["execution_id"])).write_bytes(b"damaged")
    answer = http.get(f"/v1/jobs/{job_id}/objects", headers={"X-Request-ID": "unrendered", **_SECRETS})
    assert answer.status_code == 500


def _submit(http: httpx.Client, request_id: str, image: Any) -> str:
    answer = http.post(
        "/v1/jobs",
        files={"image": (f"{_PRIVATE[0]}.tif", tiff(image, compression="zlib"))},
        data={"model": "mitonet", "tags": json.dumps({"note": _PRIVATE[1]})},
        headers={"X-Request-ID": request_id, **_SECRETS},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _said(logs: dict[str, list[str]], part: str, logger: str) -> list[Line]:
    lines: list[Line] = [json.loads(line) for line in logs[part]]
    return [line for line in lines if line["logger"] == logger]


@pytest.mark.parametrize("part", ["api", "worker-cpu-1"])
def test_every_line_is_a_json_object_with_its_time_and_level(logs: dict[str, list[str]], part: str) -> None:
    assert logs[part]
    for line in logs[part]:
        assert {"event", "level", "logger", "timestamp"} <= json.loads(line).keys()


@pytest.mark.parametrize(
    ("part", "logger"), [("api", "service.admission"), ("worker-cpu-1", "workers.supervisor")]
)
def test_lines_about_a_job_name_it_and_the_request_that_brought_it(
    logs: dict[str, list[str]], part: str, logger: str
) -> None:
    about = [line for line in _said(logs, part, logger) if line["event"] != "worker ready"]
    assert {line["request_id"] for line in about} == {"well"}
    assert len({line["job_id"] for line in about}) == 1
    events = {line["event"] for line in about}
    assert events in ({"job accepted"}, {"attempt starts", "attempt over", "the child died"})


def test_no_line_has_a_jobs_id_in_its_text_alone(logs: dict[str, list[str]]) -> None:
    (accepted,) = _said(logs, "api", "service.admission")
    for line in logs["worker-cpu-1"]:
        if accepted["job_id"] in line:
            assert json.loads(line)["job_id"] == accepted["job_id"]


def test_lines_of_an_image_process_name_the_job_and_the_request(logs: dict[str, list[str]]) -> None:
    (accepted,) = _said(logs, "api", "service.admission")
    (line,) = _said(logs, "api", "__main__")
    assert line["event"] == "a request failed: render"
    assert (line["job_id"], line["request_id"]) == (accepted["job_id"], "unrendered")


def test_no_log_holds_a_secret_or_what_a_user_named(logs: dict[str, list[str]]) -> None:
    assert set(logs) == {"api", "worker-cpu-1", "up"}
    everything = "\n".join(line for lines in logs.values() for line in lines)
    assert [secret for secret in (_PASSWORD, *_SECRETS.values(), *_PRIVATE) if secret in everything] == []
