"""What `emserve up` refuses to start with, and how it says so."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.commands import command, run
from tests.running_service import RunningService


def _up(*options: str, **variables: str) -> tuple[int, str]:
    """Exit code and all that it said, in one line; of a process, since it may start parts."""
    words, environment = command(*options, COLUMNS="400", **variables)
    return _told(
        subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False)
    )


def _misused(*options: str, **variables: str) -> str:
    """What it says of a wrong call, which it refuses before it starts anything."""
    code, said = _told(run(*options, COLUMNS="400", **variables))
    assert code == 2
    assert "Traceback" not in said
    return said


def _told(done: subprocess.CompletedProcess[str]) -> tuple[int, str]:
    return done.returncode, " ".join((done.stdout + done.stderr).replace("│", " ").split())


def test_a_second_service_in_the_same_folder_is_refused(service: RunningService) -> None:
    code, said = _up("up", "--port", "0", "--data-dir", str(service.data_dir))
    assert code == 1
    assert f"{service.data_dir} is in use by process {service.process.pid}" in said
    assert "--data-dir" in said
    assert "Traceback" not in said
    with service.client() as http:
        assert http.get("/readyz").status_code == 200


def test_a_second_service_in_the_same_folder_with_a_redis_of_its_own_is_refused(
    service: RunningService,
) -> None:
    redis = f"unix://{service.data_dir}/broker/valkey.sock"
    code, said = _up("up", "--port", "0", "--data-dir", str(service.data_dir), "--redis", redis)
    assert code == 1
    assert "is in use" in said


def test_a_busy_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = _up("up", "--port", str(port), "--data-dir", str(tmp_path))
    assert code == 1
    assert f"Port {port} on 127.0.0.1 is taken" in said
    assert "--port" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--workers", "1000"), "--workers cannot be 1000"),
        (("--device", "gpu"), "--device cannot be 'gpu'"),
        (("--port", "70000"), "--port cannot be 70000"),
        (("--port", "many"), "--port"),
        (("--api-only", "--workers", "2"), "--api-only"),
        (("--colour", "red"), "--colour"),
        (("--host", "no such host"), "no such host"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_broken_option_is_named(tmp_path: Path, options: tuple[str, ...], named: str) -> None:
    said = _misused("up", "--data-dir", str(tmp_path), *options)
    assert named in said


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EMSERVE_MAX_PIXELS", "many"),
        ("EMSERVE_JOB_TIMEOUT_SECONDS", "-1"),
        ("EMSERVE_WARM_MODELS", "mitonet"),
        ("EMSERVE_MODEL_PIN", "[1"),
        ("EMSERVE_LOG_FORMAT", "xml"),
    ],
)
def test_a_broken_variable_is_named(tmp_path: Path, name: str, value: str) -> None:
    said = _misused("up", "--data-dir", str(tmp_path), **{name: value})
    assert name in said
    assert value in said


def test_a_list_that_is_no_json_is_shown_as_it_should_have_been(tmp_path: Path) -> None:
    said = _misused("up", "--data-dir", str(tmp_path), EMSERVE_WARM_MODELS="mitonet, nucleonet")
    assert """EMSERVE_WARM_MODELS='["mitonet", "nucleonet"]'""" in said


def test_a_misspelt_variable_is_told_of_with_what_is_near(tmp_path: Path) -> None:
    said = _misused("up", "--data-dir", str(tmp_path), "--port", "70000", EMSERVE_WORKER="2", EMSERVE_URL="x")
    assert "EMSERVE_WORKER is no setting, so it does nothing: is EMSERVE_WORKERS meant?" in said
    assert "EMSERVE_URL" not in said, "a variable of the commands"


@pytest.mark.parametrize("command_name", ["up", "worker"])
@pytest.mark.parametrize(
    ("name", "value", "model"),
    [
        ("EMSERVE_WARM_MODELS", '["mitonet", "ribonet"]', "ribonet"),
        ("EMSERVE_MODEL_PIN", '{"mitonet": "77"}', "mitonet@77"),
    ],
)
def test_a_model_that_nobody_knows_is_named(
    tmp_path: Path, command_name: str, name: str, value: str, model: str
) -> None:
    said = _misused(command_name, "--data-dir", str(tmp_path), **{name: value})
    assert f"{name} names {model}" in said
    assert "mitonet@starter" in said


def test_a_pinned_model_that_is_not_installed_yet_is_told_of_and_stops_nothing(tmp_path: Path) -> None:
    # The command goes on to what stops it here: a broker that is not there.
    code, said = _up(
        "worker",
        "--data-dir",
        str(tmp_path),
        "--redis",
        "redis://127.0.0.1:1/0",
        EMSERVE_MODEL_PIN='{"mitonet": "1"}',
    )
    assert code == 1
    assert "EMSERVE_MODEL_PIN names mitonet@1" in said
    assert "emserve models pull" in said
    assert "does not answer" in said


@pytest.mark.parametrize("command_name", ["up", "worker"])
def test_a_device_that_is_not_there_is_refused_before_a_job_can_fail_on_it(
    service: RunningService, tmp_path: Path, command_name: str
) -> None:
    place: tuple[str, ...] = ("--port", "0")
    if command_name == "worker":
        storage = (service.data_dir / "store").as_uri()
        place = ("--redis", f"unix://{service.data_dir}/broker/valkey.sock", "--storage", storage)
    code, said = _up(command_name, *place, "--data-dir", str(tmp_path), "--device", "cuda:97")
    assert code == 1
    assert "The device cuda:97 (--device, EMSERVE_DEVICE) is not on this machine" in said
    assert "or cpu, or auto" in said or "Give cpu, or auto" in said
    assert "ready" not in said.split("is not on this machine")[0].lower()
    assert "Traceback" not in said


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104 - to be refused
def test_an_address_that_others_reach_is_refused_without_a_word_for_it(tmp_path: Path, host: str) -> None:
    said = _misused("up", "--data-dir", str(tmp_path), "--host", host, "--port", "0")
    assert "--allow-anonymous" in said
    assert "EMSERVE_ALLOW_ANONYMOUS" in said


def test_a_scratch_folder_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "scratch").symlink_to("/nowhere/fast")
    code, said = _up("up", "--port", "0", "--data-dir", str(tmp_path), "--device", "cpu")
    assert code == 1
    assert f"The folder {tmp_path}/scratch, in which jobs keep what they need" in said
    assert "it leads to /nowhere/fast, which is not there" in said
    assert "Traceback" not in said


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    code, said = _up("up", "--port", "0", "--data-dir", str(tmp_path / "file" / "data"))
    assert code == 1
    assert str(tmp_path / "file" / "data") in said
    assert "Traceback" not in said


def test_a_redis_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    url = "redis://:hunter2@127.0.0.1:1/0"
    code, said = _up("up", "--port", "0", "--data-dir", str(tmp_path), "--redis", url)
    assert code == 1
    assert "--redis" in said
    assert "hunter2" not in said
    assert "Traceback" not in said


def test_a_redis_url_that_is_none_is_refused_without_its_password(tmp_path: Path) -> None:
    said = _misused("up", "--port", "0", "--data-dir", str(tmp_path), "--redis", "http://:hunter2@there")
    assert "--redis" in said
    assert "unix://" in said
    assert "hunter2" not in said


def test_a_worker_without_a_service_says_what_to_start(tmp_path: Path) -> None:
    code, said = _up("worker", "--data-dir", str(tmp_path), "--device", "cpu")
    assert code == 1
    assert "emserve up" in said
    assert "Traceback" not in said
