"""`emserve models pull`, against a publisher that has good days and bad ones."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from emserve.cards import Catalogue
from emserve.installer.download import Downloader, Patience
from emserve.installer.errors import DownloadFailed
from emserve.installer.folder import ModelFolder
from emserve.installer.publisher import OnlinePublisher
from tests.commands import command, refused, run
from tests.exports import export, small_network
from tests.zenodo import Trouble, Zenodo, zenodo
from workers.models.weights import load_card

_RECORD, _FILE = "6861565", "MitoNet_v1.pth"
_SLACK = 64 * 1024**2


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small network in the form of MitoNet's archive."""
    path = tmp_path_factory.mktemp("publisher") / _FILE
    export(small_network("panoptic_deeplab_pr"), "panoptic_deeplab_pr", path)
    return path.read_bytes()


@pytest.fixture
def publisher(archive: bytes) -> Iterator[Zenodo]:
    with zenodo(files={_RECORD: {_FILE: archive}}) as server:
        yield server


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def pull(
    models: Path, source: str | Path, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return run("models", "pull", "mitonet", "--model-dir", models, "--from", source, *options, **variables)


def installed(models: Path) -> list[str]:
    """Names of what readers of the folder would find."""
    return sorted(path.name for path in models.glob("[!.]*")) if models.is_dir() else []


BOTH = ["mitonet@1.json", "mitonet@1.safetensors"]


def test_a_pulled_model_is_whole_and_says_what_its_record_says(publisher: Zenodo, models: Path) -> None:
    done = pull(models, publisher.url)
    assert done.returncode == 0, done.stderr
    assert "mitonet@1 installed" in done.stdout
    assert "cc-by-4.0" in done.stdout
    assert installed(models) == BOTH
    catalogue = Catalogue(models)
    card = catalogue.runnable("mitonet")
    assert card.id == "mitonet@1"
    assert card.licence == "cc-by-4.0"
    for cited in (
        "10.1016/j.cels.2022.12.006",
        "Conrad, Ryan; Narayan, Kedar (2022)",
        "10.5281/zenodo.6861565",
    ):
        assert cited in card.citation
    assert card.source.checksum is not None
    assert card.source.checksum.startswith("md5:")
    assert card.architecture_config["aspp_channels"] == 24
    weights = catalogue.weights(card)
    assert weights is not None
    load_card(card, weights)
    assert publisher.asked == [
        f"/api/records/{_RECORD}",
        f"/api/records/{_RECORD}/files/{_FILE}/content",
        f"/storage/{_RECORD}/{_FILE}",
    ]
    assert not list((models / ".downloads").iterdir())

    again = pull(models, publisher.url)
    assert again.stdout == "mitonet@1 is installed already\n"
    assert len(publisher.asked) == 3
    assert run("models", "verify", "--model-dir", models).returncode == 0


def test_what_breaks_off_goes_on_where_it_stopped(publisher: Zenodo, models: Path) -> None:
    zero = {"Retry-After": "0"}
    publisher.record_troubles = [Trouble(status=429, headers=zero), Trouble(status=504, headers=zero)]
    publisher.troubles = [
        Trouble(cut_at=700_000),
        Trouble(status=503, headers=zero),
        Trouble(cut_at=200_000),
        Trouble(stall_at=100_000),
        Trouble(status=429, headers=zero),
    ]
    done = pull(models, publisher.url, "--timeout", "0.5")
    assert done.returncode == 0, done.stderr
    assert installed(models) == BOTH
    ranges = [asked.partition("bytes=")[2] for asked in publisher.asked if asked.startswith("/storage")]
    assert ranges == ["", "700000-", "700000-", "900000-", "1000000-", "1000000-"]


def fetched(publisher: Zenodo, models: Path) -> bytes:
    """What a pull fetches, before it is converted."""
    models.mkdir(exist_ok=True)
    with Downloader(Patience(0.5, first_pause_seconds=0.01)) as downloader:
        online = OnlinePublisher(publisher.url, downloader)
        return online.file(_RECORD, _FILE, ModelFolder(models), lambda *_: None).read_bytes()


def test_a_trickle_counts_as_standing_still(publisher: Zenodo, archive: bytes, models: Path) -> None:
    publisher.troubles = [Trouble(trickle_at=100_000)]
    assert fetched(publisher, models) == archive
    assert publisher.asked[-1].endswith("-")


def test_a_server_without_ranges_is_read_from_the_beginning(
    publisher: Zenodo, archive: bytes, models: Path
) -> None:
    publisher.troubles = [Trouble(cut_at=500_000), Trouble(ignores_range=True)]
    assert fetched(publisher, models) == archive


def test_an_interrupted_command_leaves_nothing_but_what_it_fetched(publisher: Zenodo, models: Path) -> None:
    publisher.troubles = [Trouble(stall_at=600_000)]
    words, environment = command("models", "pull", "mitonet", "--model-dir", models, "--from", publisher.url)
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        _wait_for_bytes(models, 600_000)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert installed(models) == []
    assert pull(models, publisher.url).returncode == 0
    assert publisher.asked[-1].endswith("bytes=600000-")
    assert installed(models) == BOTH


def _wait_for_bytes(models: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if sum(part.stat().st_size for part in models.glob(".downloads/*.part")) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("the download did not begin")


def test_two_pulls_at_once_do_not_meet(publisher: Zenodo, models: Path) -> None:
    publisher.troubles = [Trouble(stall_at=600_000)]
    words, environment = command(
        "models", "pull", "mitonet", "--model-dir", models, "--from", publisher.url, "--timeout", "5"
    )
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        _wait_for_bytes(models, 600_000)
        refused(pull(models, publisher.url), f"Process {process.pid} is installing")
        assert installed(models) == []
        publisher.released.set()
        assert process.wait(60) == 0
    assert installed(models) == BOTH


def test_a_wrong_checksum_installs_nothing_and_keeps_nothing(publisher: Zenodo, models: Path) -> None:
    publisher.checksums = {_FILE: "md5:" + "0" * 32}
    refused(pull(models, publisher.url), _FILE, "md5:" + "0" * 32, "Nothing was installed")
    assert installed(models) == []
    assert not list((models / ".downloads").iterdir())


def test_a_beginning_that_was_another_files_is_fetched_anew(
    publisher: Zenodo, archive: bytes, models: Path
) -> None:
    name = json.loads(publisher.record(_RECORD))["files"][0]["checksum"].replace(":", "-")
    (models / ".downloads").mkdir(parents=True)
    (models / ".downloads" / f"{name}.part").write_bytes(b"x" * (len(archive) // 2))
    assert fetched(publisher, models) == archive


def test_a_file_that_changed_since_its_first_pull_is_refused(
    publisher: Zenodo, archive: bytes, models: Path
) -> None:
    assert pull(models, publisher.url).returncode == 0
    assert run("models", "remove", "mitonet", "--model-dir", models).returncode == 0
    publisher.files[_RECORD][_FILE] = archive + b"\0"
    refused(pull(models, publisher.url), "when it was first pulled here", "may not be its publisher")
    assert installed(models) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"records": {_RECORD: b"<html>Sign in</html>"}}, ["is no record", "did a proxy answer"]),
        ({"files": {_RECORD: {"other.pth": b"x"}}}, [f"has no file {_FILE}", "other.pth"]),
        ({"files": {}}, ["answered 404", "--from"]),
        ({"sizes": {_FILE: 1000}}, ["sends more than the 1000 bytes"]),
        ({"files": {_RECORD: {_FILE: b"PK\x03\x04 and no more"}}}, ["truncated or damaged"]),
    ],
    ids=["no record", "other files", "unknown record", "too much", "no archive"],
)
def test_a_publisher_that_gives_something_else_is_told(
    fault: dict[str, object], words: list[str], publisher: Zenodo, models: Path
) -> None:
    for name, value in fault.items():
        setattr(publisher, name, value)
    refused(pull(models, publisher.url), *words)
    assert installed(models) == []


def test_a_network_that_is_not_there_is_one_paragraph_with_the_remedy(models: Path) -> None:
    done = pull(models, "http://127.0.0.1:9")
    refused(done, "127.0.0.1 cannot be reached", "--from")
    assert installed(models) == []


def test_hope_ends_with_the_reason(publisher: Zenodo, tmp_path: Path) -> None:
    publisher.troubles = [Trouble(status=503, headers={"Retry-After": "0"})] * 9
    with Downloader(Patience(0.3, attempts=3, first_pause_seconds=0.01)) as downloader:
        url = f"{publisher.url}/storage/{_RECORD}/{_FILE}"
        with pytest.raises(DownloadFailed, match=r"answered 503 .*, 3 times in a row"):
            downloader.file(url, tmp_path / "part", 10, lambda *_: None)
        publisher.troubles = [Trouble(stall_at=0)] * 9
        with pytest.raises(DownloadFailed, match=r"silent for 0\.3 s"):
            downloader.file(url, tmp_path / "part", 10, lambda *_: None)


def test_the_mirror_of_the_environment_is_asked_also_for_what_its_record_calls_zenodos(
    publisher: Zenodo, models: Path
) -> None:
    publisher.link_to = "https://zenodo.org"
    publisher.files[_RECORD][_FILE] = b"PK\x03\x04 but no zip"
    done = run("models", "pull", "mitonet@1", "--model-dir", models, EMSERVE_MODEL_MIRROR=publisher.url + "/")
    refused(done, "truncated or damaged")  # it has arrived
    assert publisher.asked[-1] == f"/storage/{_RECORD}/{_FILE}"


def test_a_proxy_of_the_environment_is_used(publisher: Zenodo, models: Path) -> None:
    far = "http://records.invalid"
    publisher.link_to = publisher.redirect_to = far
    publisher.files[_RECORD][_FILE] = b"PK\x03\x04 but no zip"
    done = pull(models, far, HTTP_PROXY=publisher.url)
    refused(done, "truncated or damaged")  # it has arrived
    assert "is not encrypted" in done.stderr


def test_a_proxy_that_does_not_answer_is_named_without_its_password(models: Path) -> None:
    done = pull(models, "http://records.invalid", HTTP_PROXY="http://user:secret@127.0.0.1:9")
    complaint = refused(done, "through the proxy http://127.0.0.1:9")
    assert "secret" not in complaint


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def test_a_server_that_cannot_prove_who_it_is_gets_no_request(
    certificate: ssl.SSLContext, archive: bytes, models: Path
) -> None:
    with zenodo(certificate, files={_RECORD: {_FILE: archive}}) as server:
        refused(pull(models, server.url), "does not prove who it is", "SSL_CERT_FILE")
        assert server.asked == []


def test_an_authority_of_ones_own_is_named_by_the_environment_and_tls_is_not_left(
    certificate: ssl.SSLContext, authority: trustme.CA, publisher: Zenodo, models: Path, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with zenodo(certificate, files=publisher.files, redirect_to=publisher.url) as server:
        done = pull(models, server.url, SSL_CERT_FILE=str(tmp_path / "ca.pem"))
        refused(done, "leads from https to http://localhost")
        assert len(server.asked) == 2
    assert publisher.asked == []


def test_an_air_gapped_folder_with_the_record_is_as_good_as_the_publisher(
    publisher: Zenodo, archive: bytes, models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "brought"
    folder.mkdir()
    refused(pull(models, folder), f"has no {_FILE}", "https://zenodo.org/records/6861565", "as 6861565.json")
    (folder / _FILE).write_bytes(archive[:-1])
    (folder / f"{_RECORD}.json").write_bytes(publisher.record(_RECORD))
    refused(pull(models, folder), "checksum")
    (folder / _FILE).write_bytes(archive)
    done = pull(models, folder)
    assert done.returncode == 0, done.stderr
    assert Catalogue(models).find("mitonet@1").licence == "cc-by-4.0"
    assert (folder / _FILE).exists()


def test_an_air_gapped_folder_without_the_record_is_taken_with_a_warning(
    archive: bytes, models: Path, tmp_path: Path
) -> None:
    (tmp_path / _FILE).write_bytes(archive)
    done = pull(models, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "compared with nothing" in done.stderr
    card = Catalogue(models).find("mitonet@1")
    assert (card.licence, card.source.checksum) == ("unknown", None)
    assert card.source.sha256


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "'nothing' is no released model"),
        (["mitonet@starter"], "no released model"),
    ],
)
def test_what_nobody_publishes_is_named(arguments: list[str], words: str, models: Path) -> None:
    refused(run("models", "pull", *arguments, "--model-dir", models), words, "mitonet@1")


@pytest.mark.parametrize("arguments", [[], ["mitonet", "--all"], ["mitonet", "--from", "nowhere"]])
def test_pulling_nothing_or_from_nowhere_is_usage(arguments: list[str], models: Path) -> None:
    assert run("models", "pull", *arguments, "--model-dir", models).returncode == 2
    assert not models.exists()


def test_of_several_one_that_fails_does_not_stop_the_others(publisher: Zenodo, models: Path) -> None:
    done = run("models", "pull", "nucleonet", "mitonet", "--model-dir", models, "--from", publisher.url)
    refused(done, "nucleonet@2: ", "404")
    assert installed(models) == BOTH


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with hardly more room than a pull asks for."""
    folder = tmp_path / "disk"
    folder.mkdir()
    yield from _mounted(folder, f"size={_SLACK + 8 * 1024**2}")


def _mounted(folder: Path, options: str) -> Iterator[Path]:
    mount = ["/bin/mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a file system needs root on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["/bin/umount", str(folder)], check=True)


def test_a_disk_without_room_is_refused_before_anything_is_fetched(
    publisher: Zenodo, small_disk: Path
) -> None:
    (small_disk / "filler").write_bytes(bytes(8 * 1024**2))
    refused(pull(small_disk / "models", publisher.url), "MB free", "--model-dir")
    assert not [asked for asked in publisher.asked if "storage" in asked]


def test_a_disk_that_fills_up_meanwhile_loses_nothing(
    publisher: Zenodo, archive: bytes, small_disk: Path
) -> None:
    models = small_disk / "models"
    publisher.troubles = [Trouble(stall_at=600_000)]
    words, environment = command("models", "pull", "mitonet", "--model-dir", models, "--from", publisher.url)
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
        _wait_for_bytes(models, 600_000)
        _fill(small_disk / "filler")
        publisher.released.set()
        _, complaint = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is full. Nothing was installed" in complaint
    assert installed(models) == []
    (small_disk / "filler").unlink()
    assert fetched(publisher, models) == archive
    assert publisher.asked[-1].endswith("-")


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


def test_a_read_only_folder_is_named_with_the_remedy(publisher: Zenodo, tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir()
    for disk in _mounted(folder, "ro"):
        refused(
            pull(disk, publisher.url), f"{disk} cannot be written to: Read-only file system", "--model-dir"
        )
        refused(pull(disk / "models", publisher.url), "cannot be written to: Read-only file system")


def test_a_folder_that_is_a_file_is_named_with_the_remedy(publisher: Zenodo, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(pull(tmp_path / "file" / "models", publisher.url), "cannot be written to: Not a directory")
