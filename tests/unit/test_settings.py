"""Settings: each is explained, each survives the way to a child process, secrets stay hidden."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from emserve.settings import Settings

_CHANGED: dict[str, Any] = {
    "host": "::1",
    "port": 8123,
    "allow_anonymous": True,
    "allowed_hosts": ["em.example.org", "em2.example.org"],
    "allowed_origins": ["https://viewer.example.org", "http://[::1]:3000"],
    "data_dir": Path("/srv/em data"),
    "redis": SecretStr("redis://:hunter2@broker:6379/3"),
    "storage": "s3://bucket/prefix",
    "workers": 3,
    "device": "cuda:1",
    "threads": 5,
    "precision": "bf16",
    "model_dir": Path("/srv/models"),
    "model_pin": {"mitonet": "1"},
    "warm_models": ["mitonet", "nucleonet@2"],
    "model_mirror": "https://mirror.example.org",
    "model_memory_bytes": 123,
    "job_timeout_seconds": 1.5,
    "worker_memory_bytes": 600_000_000,
    "max_pixels": 789,
    "max_voxels": 7890,
    "max_upload_bytes": 1011,
    "max_pages": 1112,
    "max_uploads": 17,
    "max_queued_jobs": 18,
    "min_free_bytes": 19,
    "upload_idle_seconds": 2.5,
    "min_upload_bytes_per_second": 20,
    "decode_memory_bytes": 1_000_000_000,
    "decode_seconds": 14,
    "renderers": 15,
    "max_renderings": 21,
    "max_wait_seconds": 16,
    "keep_jobs_days": 17.5,
    "keep_tombstones_days": 18.5,
    "sweep_seconds": 19.5,
    "shutdown_seconds": 0.5,
    "log_format": "console",
}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"EMSERVE_{name.upper()}", raising=False)


def _in_environment(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> Settings:
    for name, value in variables.items():
        if name.startswith("EMSERVE_"):
            monkeypatch.setenv(name, value)
    return Settings()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_says_what_it_means(name: str) -> None:
    assert (Settings.model_fields[name].description or "").endswith(".")


def test_this_file_changes_every_setting() -> None:
    default = Settings()
    assert set(_CHANGED) == set(Settings.model_fields)
    assert [name for name, value in _CHANGED.items() if getattr(default, name) == value] == []


@pytest.mark.parametrize("name", sorted(_CHANGED))
def test_every_setting_survives_the_way_to_a_child_process(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Settings.model_validate({name: _CHANGED[name]})

    received = _in_environment(monkeypatch, given.environment())

    assert received == given
    assert getattr(received, name) == _CHANGED[name]


def test_all_settings_together_survive_the_way_to_a_child_process(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings.model_validate(_CHANGED)
    assert _in_environment(monkeypatch, given.environment()) == given


def test_the_password_in_the_redis_url_is_not_shown() -> None:
    settings = Settings.model_validate(_CHANGED)
    shown = (
        f"{settings!r} {settings} {settings.model_dump_json()} {json.dumps(settings.model_dump(mode='json'))}"
    )
    assert "hunter2" not in shown
    assert "hunter2" in settings.redis_url


def test_a_wrong_value_is_refused_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMSERVE_DEVICE", "gpu")
    with pytest.raises(ValidationError, match="device"):
        Settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("keep_jobs_days", 3_000_000, "36500"),
        ("keep_jobs_days", float("inf"), "finite"),
        ("keep_tombstones_days", 9_999_999, "36500"),
        ("sweep_seconds", float("inf"), "finite"),
        ("job_timeout_seconds", float("nan"), "finite"),
        ("decode_memory_bytes", 1_000_000, "536870912"),
        ("worker_memory_bytes", 300_000_000, "536870912"),
        ("storage", "s3://", "bucket"),
        ("storage", "s3:///", "bucket"),
        ("device", "gpu", "cuda: and a number"),
        ("model_mirror", "ftp://x", "https://"),
        ("allowed_origins", ["http://x/"], "no slash at its end"),
        ("log_format", "xml", "'json' or 'console'"),
    ],
)
def test_a_value_that_could_only_fail_later_is_refused_in_words(name: str, value: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({name: value})
    (fault,) = caught.value.errors()
    assert said in fault["msg"]
    assert "pattern" not in fault["msg"]


@pytest.mark.parametrize("origin", ["*", "null", "viewer.example.org", "https://a.org/", "https://A.org", ""])
def test_an_origin_that_no_browser_would_send_stops_the_start(origin: str) -> None:
    with pytest.raises(ValidationError, match="allowed_origins"):
        Settings(allowed_origins=[origin])


def test_paths_are_absolute_so_that_a_child_in_another_folder_finds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings(data_dir=Path("here")).data_dir == tmp_path / "here"


def test_the_socket_of_a_deep_data_folder_has_a_path_that_can_be_bound(tmp_path: Path) -> None:
    deep = Settings(data_dir=tmp_path / ("d" * 120))
    assert len(bytes(deep.broker_socket)) < 104
    assert deep.broker_socket != Settings(data_dir=tmp_path / ("e" * 120)).broker_socket
    assert deep.broker_socket.parent.parent == Path("/tmp"), "whatever folder TMPDIR names"


def test_a_storage_url_of_a_folder_with_blanks_leads_back_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c#d"
    assert Settings(data_dir=folder).storage_url.startswith("file:///")
    from emserve.storage import create, open_store, read

    create(open_store(Settings(data_dir=folder).storage_url), "key", b"value")
    assert (folder / "store" / "key").read_bytes() == b"value"
    assert read(open_store(Settings(data_dir=folder).storage_url), "key") == b"value"


@pytest.mark.parametrize("url", ["nonsense", "http://example.org/bucket", "file:relative"])
def test_a_storage_that_is_none_of_the_known_ones_stops_the_start(url: str) -> None:
    with pytest.raises(ValidationError, match="s3://"):
        Settings(storage=url)
