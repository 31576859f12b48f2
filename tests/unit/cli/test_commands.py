"""The commands as a person or a script calls them, against a real HTTP server."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emserve.cli.command_group import ENTRIES
from emserve.jobs import PROBLEM_PREFIX, JobPage, JobStatus
from tests.commands import command, run
from tests.unit.client.far_side import Reply, far_side, json_reply, make_job, make_problem

NOBODY = "http://127.0.0.1:9"
QUEUED = json_reply(make_job(JobStatus.QUEUED), 202)
LOST = Reply(200, b"cut off", cut_at=0)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "cell.tif"
    path.write_bytes(b"image")
    return path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a.tif", "b.tif", "c.tif")]
    for path in paths:
        path.write_bytes(b"image")
    return paths


def test_help_lists_every_command_and_is_light() -> None:
    script = (
        "import sys; from emserve.cli import app; app(['--help'], standalone_mode=False); "
        "heavy = {'torch', 'fastapi', 'numpy', 'httpx', 'redis', 'pydantic'} & set(sys.modules); "
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    for entry in ENTRIES:
        assert f" {entry.name} " in done.stdout


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_each_command_explains_itself_as_the_list_does(entry: object) -> None:
    name, line = getattr(entry, "name"), getattr(entry, "help")  # noqa: B009
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert line.rstrip(".") in " ".join(done.stdout.split())


def test_no_command_of_the_client_side_imports_torch_or_fastapi() -> None:
    script = (
        "import sys; from emserve.cli.command_group import ENTRIES; [entry.load() for entry in ENTRIES]; "
        "sys.exit(str({'torch', 'fastapi', 'training', 'service', 'workers'} & set(sys.modules) or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr.strip() == ""


def test_the_version_is_told() -> None:
    assert run("--version").stdout.startswith("emserve 0.")


def test_a_mistyped_command_is_usage() -> None:
    done = run("sbmit")
    assert done.returncode == 2
    assert "submit" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["jobs"], ["job", "a"], ["cancel", "a"], ["delete", "a"], ["models"], ["demo"]],
    ids=lambda words: words[0],
)
def test_a_service_that_is_not_there_is_one_paragraph(arguments: list[str], tmp_path: Path) -> None:
    extra = ["--out", str(tmp_path / "demo")] if arguments == ["demo"] else []
    done = run(*arguments, *extra, "--url", NOBODY)
    assert done.returncode == 1
    assert done.stderr.startswith(f"emserve: The service at {NOBODY} does not answer")
    assert "emserve up" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["", "nowhere.tif"])
def test_an_image_that_is_not_there_is_named_before_anything_is_sent(path: str) -> None:
    with far_side(QUEUED) as side:
        done = run("submit", path, "--model", "mitonet", "--url", side.url)
    assert done.returncode == 2
    assert f"'{path}' does not exist" in done.stderr
    assert side.asked == []


@pytest.mark.parametrize(
    "options",
    [
        ["--param", "downsampling=3"],
        ["--params", "{"],
        ["--tag", "a"],
        ["--out", "x.jpg"],
        ["--objects", "x.tif"],
        ["--url", "lab:8000"],
    ],
    ids=lambda options: options[0],
)
def test_bad_options_are_found_before_anything_is_sent(options: list[str], image: Path) -> None:
    with far_side(QUEUED) as side:
        url = [] if "--url" in options else ["--url", side.url]
        done = run("submit", image, "--model", "mitonet", *options, *url)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert side.asked == []


def test_submit_prints_id_and_state_and_the_next_command(image: Path) -> None:
    with far_side(QUEUED) as side:
        done = run("submit", image, "--model", "mitonet", "--param", "downsampling=2", "--url", side.url)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "0199-a queued\n"
    assert f"emserve job 0199-a --wait --url {side.url}" in done.stderr
    assert side.asked[0].query["params"] == '{"downsampling":2}'
    assert side.asked[0].body == b"image"


def test_labels_of_a_volume_as_a_png_are_refused_before_the_wait_and_the_job_is_cancelled(
    image: Path, tmp_path: Path
) -> None:
    plane = make_job(JobStatus.QUEUED)
    volume = plane.model_copy(
        update={"input": plane.input.model_copy(update={"shape": [3, 4, 5], "axes": "ZYX"})}
    )
    with far_side(json_reply(volume, 202), json_reply(volume, 202)) as side:
        done = run("submit", image, "--model", "mitonet", "--out", tmp_path / "a.png", "--url", side.url)
    assert done.returncode == 1
    assert "is a volume, and a PNG holds one slice" in done.stderr
    assert [asked.path for asked in side.asked] == ["/v1/jobs", "/v1/jobs/0199-a/cancel"]


def test_submit_in_json_prints_the_job_alone(image: Path) -> None:
    with far_side(QUEUED) as side:
        done = run("submit", image, "--model", "mitonet", "--json", "--url", side.url)
    assert json.loads(done.stdout)["id"] == "0199-a"


def test_submit_waits_and_saves(image: Path, tmp_path: Path) -> None:
    replies = [QUEUED, json_reply(make_job()), Reply(200, b"tiff"), Reply(200, b"csv")]
    out = tmp_path / "new" / "labels.tif"
    with far_side(*replies) as side:
        done = run(
            "submit", image, "--model", "mitonet", "--out", out, "--objects", tmp_path, "--url", side.url
        )
    assert done.returncode == 0, done.stderr
    assert "succeeded, 2 objects" in done.stdout
    assert out.read_bytes() == b"tiff"
    assert (tmp_path / "cell.objects.csv").read_bytes() == b"csv"


def test_a_failed_job_is_code_1_with_its_reason(image: Path) -> None:
    with far_side(QUEUED, json_reply(make_job(JobStatus.FAILED))) as side:
        done = run("submit", image, "--model", "mitonet", "--wait", "--json", "--url", side.url)
    assert done.returncode == 1
    assert "The TIFF ends after 12 bytes." in done.stderr
    assert json.loads(done.stdout)["status"] == "failed"


def test_a_refused_image_does_not_stop_the_next(image: Path, tmp_path: Path) -> None:
    other = tmp_path / "axon.tif"
    other.write_bytes(b"other")
    with far_side(json_reply(make_problem(), 422), QUEUED) as side:
        done = run("submit", image, other, "--model", "mitonet", "--url", side.url)
    assert done.returncode == 1
    assert done.stdout == "0199-a queued\n"
    assert "cell.tif: The image cannot be read" in done.stderr


def test_an_image_that_cannot_be_sent_does_not_stop_the_next(image: Path, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with far_side(QUEUED) as side:
        done = run("submit", tmp_path / "letters", image, "--model", "mitonet", "--url", side.url)
    assert done.returncode == 1
    assert done.stdout == "0199-a queued\n"
    assert "letters" in done.stderr


def test_a_job_that_somebody_deleted_does_not_cost_the_results_of_others(
    images: list[Path], tmp_path: Path
) -> None:
    deleted = make_problem(410).model_copy(update={"type": PROBLEM_PREFIX + "job-deleted"})
    ended, saved = json_reply(make_job()), Reply(200, b"tiff")
    with far_side(QUEUED, QUEUED, QUEUED, ended, saved, json_reply(deleted, 410), ended, saved) as side:
        done = run("submit", *images, "--model", "mitonet", "--out", tmp_path, "--url", side.url)
    assert done.returncode == 1
    assert "12 bytes" in done.stderr
    assert {path.name for path in tmp_path.glob("*.labels.tif")} == {"a.labels.tif", "c.labels.tif"}


def test_what_was_accepted_before_the_service_went_is_told(images: list[Path]) -> None:
    with far_side(QUEUED, LOST) as side:
        done = run("submit", *images, "--model", "mitonet", "--json", "--url", side.url)
    assert done.returncode == 1
    assert json.loads(done.stdout)["id"] == "0199-a"
    assert f"{images[1]}: The service at {side.url} does not answer" in done.stderr
    assert f"Nothing was sent from {images[2]} on." in done.stderr
    assert len(side.asked) == 2


def test_what_was_accepted_before_a_connection_broke_is_waited_for(images: list[Path]) -> None:
    with far_side(QUEUED, LOST, json_reply(make_job())) as side:
        done = run("submit", *images, "--model", "mitonet", "--wait", "--url", side.url)
    assert done.returncode == 1
    assert "0199-a succeeded, 2 objects" in done.stdout


def test_a_result_that_cannot_be_saved_does_not_cost_the_next(image: Path, tmp_path: Path) -> None:
    ended = json_reply(make_job())
    refused, saved = json_reply(make_problem(), 404), Reply(200, b"label,area_px\n")
    out = tmp_path / "labels.npy"
    with far_side(QUEUED, ended, refused, saved) as side:
        names = ("--out", out, "--objects", tmp_path / "objects.csv")
        done = run("submit", image, "--model", "mitonet", *names, "--url", side.url)
    assert done.returncode == 1
    assert str(out) in done.stderr
    assert (tmp_path / "objects.csv").read_bytes() == saved.body


def test_ctrl_c_leaves_the_job_and_says_how_to_end_it(image: Path) -> None:
    running = json_reply(make_job(JobStatus.RUNNING))
    with far_side(QUEUED, running) as side:
        words, environment = command("submit", image, "--model", "mitonet", "--wait", "--url", side.url)
        with subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process:
            deadline = time.monotonic() + 30
            while len(side.asked) < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The job goes on" in complaint
    assert "emserve cancel 0199-a" in complaint
    assert all("cancel" not in asked.path for asked in side.asked)


@pytest.mark.parametrize("accepted", [0, 1])
def test_ctrl_c_while_images_are_sent_tells_what_was_accepted(images: list[Path], accepted: int) -> None:
    with far_side(*[QUEUED] * accepted, Reply(is_silent=True)) as side:
        words, environment = command("submit", *images, "--model", "mitonet", "--url", side.url)
        with subprocess.Popen(
            words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            deadline = time.monotonic() + 30
            while len(side.asked) <= accepted and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            output, complaint = process.communicate(timeout=30)
    assert process.returncode == 130
    assert output == "0199-a queued\n" * accepted
    assert ("emserve cancel 0199-a" in complaint) == bool(accepted)
    assert "Traceback" not in complaint


def test_jobs_are_a_table_or_json() -> None:
    page = JobPage(jobs=[make_job(), make_job(JobStatus.FAILED, "0199-b")]).model_dump_json().encode()
    with far_side(json_reply(page)) as side:
        table = run("jobs", "--status", "failed", "--tag", "sample=S-17", "--url", side.url)
        as_json = run("jobs", "--json", "--url", side.url)
    assert "0199-a" in table.stdout
    assert "0199-b" in table.stdout
    assert side.asked[0].query == {"status": "failed", "tag": "sample:S-17", "page_size": "20"}
    assert [job["id"] for job in json.loads(as_json.stdout)] == ["0199-a", "0199-b"]


def test_cancel_goes_on_after_an_unknown_id() -> None:
    with far_side(
        json_reply(make_problem(404), 404), json_reply(make_job(JobStatus.CANCELLING), 202)
    ) as side:
        done = run("cancel", "nope", "0199-a", "--url", side.url)
    assert done.returncode == 1
    assert done.stdout == "0199-a cancelling\n"
    assert [asked.path for asked in side.asked] == ["/v1/jobs/nope/cancel", "/v1/jobs/0199-a/cancel"]


def test_delete_goes_on_after_an_unknown_id() -> None:
    with far_side(json_reply(make_problem(404), 404), Reply(204)) as side:
        done = run("delete", "nope", "0199-a", "--url", side.url)
    assert done.returncode == 1
    assert done.stdout == "0199-a deleted\n"
    assert "The image cannot be read" in done.stderr
    assert [(asked.method, asked.path) for asked in side.asked] == [
        ("DELETE", "/v1/jobs/nope"),
        ("DELETE", "/v1/jobs/0199-a"),
    ]


def test_job_waits_and_tells_a_failure_by_its_code() -> None:
    with far_side(json_reply(make_job(JobStatus.FAILED))) as side:
        assert run("job", "0199-a", "--url", side.url).returncode == 0
        assert run("job", "0199-a", "--wait", "--json", "--url", side.url).returncode == 1


def test_models_are_a_table_or_json() -> None:
    body = (
        b'{"models": [{"id": "mitonet@1", "name": "mitonet", "version": "1", "state": "missing", '
        b'"class_names": {"1": "mito"}, "native_pixel_size_nm": 16.0, "licence": "CC BY 4.0"}]}'
    )
    with far_side(json_reply(body)) as side:
        table = run("models", "--url", side.url)
        as_json = run("models", "--json", "--url", side.url)
    for words in ("mitonet@1", "missing", "mito", "16 nm", "CC BY 4.0"):
        assert words in table.stdout
    assert json.loads(as_json.stdout)[0]["licence"] == "CC BY 4.0"
