"""`emserve models pull`, against a publisher that has good days and bad ones."""

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from emserve.cards import Catalogue
from emserve.installer.download import Downloader, Patience
from emserve.installer.errors import DownloadFailed
from emserve.installer.folder import ModelFolder
from emserve.installer.installer import Installer, released_card
from emserve.installer.publisher import FolderPublisher, OnlinePublisher
from tests.commands import command, refused, run
from tests.exports import export, small_network
from tests.proxies import tunnel_proxy
from tests.zenodo import Trouble, Zenodo, zenodo
from workers.models.archive import ModelFileDamaged
from workers.models.convert import convert
from workers.models.weights import load_card

_RECORD, _FILE = "6861565", "MitoNet_v1.pth"
_SLACK = 64 * 1024**2
_ANOTHER = "md5:" + "0" * 32


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


@pytest.fixture(scope="module")
def pulled(archive: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which MitoNet was pulled; to be copied by whoever changes it."""
    models = tmp_path_factory.mktemp("pulled") / "models"
    with zenodo(files={_RECORD: {_FILE: archive}}) as server:
        done = pull(models, server.url)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"mitonet@1 installed in {models}\n  licence  cc-by-4.0\n")
        assert server.asked == [
            f"/api/records/{_RECORD}",
            f"/api/records/{_RECORD}/files/{_FILE}/content",
            f"/storage/{_RECORD}/{_FILE}",
        ]
    return models


def test_a_pulled_model_is_whole_and_says_what_its_record_says(publisher: Zenodo, pulled: Path) -> None:
    models = pulled
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
    assert not list((models / ".downloads").iterdir())

    again = pull(models, publisher.url)
    assert again.stdout == "mitonet@1 is installed already\n"
    assert publisher.asked == []
    assert run("models", "verify", "--model-dir", models).returncode == 0


def test_what_breaks_off_goes_on_where_it_stopped(publisher: Zenodo, archive: bytes, models: Path) -> None:
    zero = {"Retry-After": "0"}
    publisher.record_troubles = [Trouble(status=429, headers=zero), Trouble(status=504, headers=zero)]
    publisher.troubles = [
        Trouble(cut_at=700_000),
        Trouble(status=503, headers=zero),
        Trouble(cut_at=200_000),
        Trouble(stall_at=100_000),
        Trouble(status=429, headers=zero),
    ]
    assert fetched(publisher, models) == archive
    ranges = [asked.partition("bytes=")[2] for asked in publisher.asked if asked.startswith("/storage")]
    assert ranges == ["", "700000-", "700000-", "900000-", "1000000-", "1000000-"]


def fetched(publisher: Zenodo, models: Path) -> bytes:
    """What a pull fetches, before it is converted."""
    models.mkdir(exist_ok=True)
    with Downloader(Patience(0.5, first_pause_seconds=0.01)) as downloader:
        online = OnlinePublisher(publisher.url, downloader)
        assert online.record(_RECORD).file(_FILE).size == len(publisher.content(_RECORD, _FILE))
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


def test_an_interrupted_command_leaves_nothing_but_what_it_fetched(
    publisher: Zenodo, archive: bytes, models: Path
) -> None:
    publisher.troubles = [Trouble(stall_at=600_000)]
    words, environment = command("models", "pull", "mitonet", "--model-dir", models, "--from", publisher.url)
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        _wait_for_bytes(models, 600_000)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert installed(models) == []
    assert fetched(publisher, models) == archive
    assert publisher.asked[-1].endswith("bytes=600000-")


def _wait_for_bytes(models: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if sum(part.stat().st_size for part in models.glob(".downloads/*.part")) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("the download did not begin")


def test_two_pulls_at_once_do_not_meet(publisher: Zenodo, models: Path) -> None:
    publisher.troubles = [Trouble(stall_at=600_000)]
    publisher.checksums = {_FILE: _ANOTHER}
    words, environment = command("models", "pull", "mitonet", "--model-dir", models, "--from", publisher.url)
    with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
        _wait_for_bytes(models, 600_000)
        refused(pull(models, publisher.url), f"Process {process.pid} is installing")
        publisher.released.set()
        _, complaint = process.communicate(timeout=60)
    assert _ANOTHER in complaint  # the first was not disturbed: its whole file arrived
    assert publisher.asked[-1].endswith("bytes=600000-")
    assert installed(models) == []


def test_a_wrong_checksum_installs_nothing_and_keeps_nothing(publisher: Zenodo, models: Path) -> None:
    publisher.checksums = {_FILE: _ANOTHER}
    refused(pull(models, publisher.url), _FILE, _ANOTHER, "Nothing was installed")
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
    publisher: Zenodo, archive: bytes, pulled: Path, models: Path
) -> None:
    shutil.copytree(pulled, models)
    assert run("models", "remove", "mitonet", "--model-dir", models, "--data-dir", models).returncode == 0
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
    ],
    ids=["no record", "other files", "unknown record", "too much"],
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
    publisher.checksums = {_FILE: _ANOTHER}
    done = run("models", "pull", "mitonet@1", "--model-dir", models, EMSERVE_MODEL_MIRROR=publisher.url + "/")
    refused(done, _ANOTHER)  # it has arrived
    assert publisher.asked[-1] == f"/storage/{_RECORD}/{_FILE}"


def test_a_proxy_of_the_environment_is_used(publisher: Zenodo, models: Path) -> None:
    far = "http://records.invalid"
    publisher.link_to = publisher.redirect_to = far
    publisher.checksums = {_FILE: _ANOTHER}
    done = pull(models, far, HTTP_PROXY=publisher.url)
    refused(done, _ANOTHER)  # it has arrived
    assert "is not encrypted" in done.stderr


def test_a_proxy_that_does_not_answer_is_named_without_its_password(models: Path) -> None:
    done = pull(models, "http://records.invalid", HTTP_PROXY="http://user:secret@127.0.0.1:9")
    complaint = refused(done, "through the proxy http://127.0.0.1:9")
    assert "secret" not in complaint


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def authority_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("authority") / "ca.pem")
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(scope="module")
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "records.invalid").configure_cert(context)
    return context


def port_of(server: Zenodo) -> int:
    return int(server.url.rpartition(":")[2])


def test_a_tunnel_through_a_proxy_leads_to_the_publisher_whose_name_only_the_proxy_knows(
    certificate: ssl.SSLContext, authority_file: str, archive: bytes, models: Path
) -> None:
    far = "https://records.invalid"
    files: dict[str, dict[str, Path | bytes]] = {_RECORD: {_FILE: archive}}
    with (
        zenodo(certificate, files=files, link_to=far, redirect_to=far, checksums={_FILE: _ANOTHER}) as server,
        tunnel_proxy(port_of(server)) as proxy,
    ):
        with_password = proxy.url.replace("//", "//lab:secret@")
        refused(pull(models, far, HTTPS_PROXY=with_password), "does not prove who it is", "SSL_CERT_FILE")
        assert server.asked == []
        done = pull(models, far, HTTPS_PROXY=with_password, SSL_CERT_FILE=authority_file)
    refused(done, _ANOTHER)  # it has arrived
    assert len(server.asked) == 3
    credentials = b64encode(b"lab:secret").decode()
    assert set(proxy.asked) == {f"records.invalid:443 Basic {credentials}"}


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (407, ["407 Proxy Authentication Required", "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT"]),
        (403, ["403 Forbidden", "let records.invalid through", "NO_PROXY"]),
    ],
)
def test_a_proxy_that_refuses_the_way_is_named_with_its_answer_and_the_remedy(
    refusal: int, words: list[str], models: Path
) -> None:
    with tunnel_proxy(9, refusal) as proxy:
        done = pull(models, "https://records.invalid", HTTPS_PROXY=proxy.url.replace("//", "//lab:secret@"))
    complaint = refused(done, f"The proxy {proxy.url} refuses the way to records.invalid", *words, "--from")
    assert "secret" not in complaint
    assert len(proxy.asked) == 1
    assert installed(models) == []


def test_a_proxy_that_wants_a_password_says_so_without_tls_too(publisher: Zenodo, models: Path) -> None:
    publisher.record_troubles = [Trouble(status=407)]
    done = pull(models, "http://records.invalid", HTTP_PROXY=publisher.url)
    refused(done, "refuses the way to records.invalid", "407", "USER:PASSWORD")


def test_a_server_that_cannot_prove_who_it_is_gets_no_request(
    certificate: ssl.SSLContext, archive: bytes, models: Path
) -> None:
    with zenodo(certificate, files={_RECORD: {_FILE: archive}}) as server:
        refused(pull(models, server.url), "does not prove who it is", "SSL_CERT_FILE")
        assert server.asked == []


def test_an_authority_of_ones_own_is_named_by_the_environment_and_tls_is_not_left(
    certificate: ssl.SSLContext, authority_file: str, publisher: Zenodo, models: Path
) -> None:
    with zenodo(certificate, files=publisher.files, redirect_to=publisher.url) as server:
        done = pull(models, server.url, SSL_CERT_FILE=authority_file)
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


def test_of_several_one_that_fails_does_not_stop_one_that_comes_without_its_record(
    archive: bytes, models: Path, tmp_path: Path
) -> None:
    (tmp_path / _FILE).write_bytes(archive)
    done = run("models", "pull", "nucleonet", "mitonet", "--model-dir", models, "--from", tmp_path)
    refused(done, "nucleonet@2: ", "has no PanopticDeepLabPR_5f023685")
    assert installed(models) == BOTH
    assert "compared with nothing" in done.stderr
    card = Catalogue(models).find("mitonet@1")
    assert (card.licence, card.source.checksum) == ("unknown", None)
    assert card.source.sha256


def test_a_file_that_was_refused_is_not_remembered_as_the_first(
    archive: bytes, models: Path, tmp_path: Path
) -> None:
    installer, publisher = Installer(ModelFolder(models), convert), FolderPublisher(tmp_path)
    (tmp_path / _FILE).write_bytes(archive[:1000])
    with pytest.raises(ModelFileDamaged):
        installer.pull(released_card("mitonet"), publisher, lambda *_: None)
    assert installed(models) == []
    (tmp_path / _FILE).write_bytes(archive)
    assert installer.pull(released_card("mitonet"), publisher, lambda *_: None).id == "mitonet@1"
    assert installed(models) == BOTH


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
