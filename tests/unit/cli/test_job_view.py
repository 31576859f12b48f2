"""Jobs and objects as people read them."""

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from emserve.cli.job_view import age, changed_parameters, job_page, job_table
from emserve.cli.objects_table import main_columns, objects_table
from emserve.cli.progress import describe, eta_text
from emserve.client import Row
from emserve.jobs import JobStatus, JobWarning, Progress, QueuePlace, Stage
from emserve.params import Parameters
from tests.unit.client.far_side import make_job


def text_of(renderable: object) -> str:
    console = Console(width=200, highlight=False, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_only_changed_parameters_are_shown() -> None:
    assert changed_parameters(Parameters()) == {}
    assert changed_parameters(Parameters(downsampling=2, confidence_thr=0.5)) == {"downsampling": 2}


def test_a_page_tells_what_matters() -> None:
    warning = JobWarning(code="starter-weights", detail="Only a starter.")
    job = make_job(
        JobStatus.FAILED,
        warnings=[warning],
        tags={"sample": "[red]S"},
        params=Parameters(invert=True),
        links={"self": "/v1/jobs/0199-a"},
    )
    text = text_of(job_page(job, "http://lab"))
    for words in (
        "0199-a",
        "failed",
        "mitonet@starter",
        "cell.tif, 4 x 5 YX, uint8, 20 bytes",
        "invert=True",
        "sample=[red]S",
        "starter-weights: Only a starter.",
        "The image cannot be read: The TIFF ends after 12 bytes.",
        "http://lab/v1/jobs/0199-a",
    ):
        assert words in text


@pytest.mark.parametrize(
    ("axes", "size", "shown"),
    [
        ("YX", [10, 10], "10 nm"),
        ("YX", [10, 5], "10 x 5 nm"),
        ("ZYX", [10, 5, 10], "10 x 5 x 10 nm"),
        ("ZYX", [40, 10, 10], "40 x 10 x 10 nm"),
        ("ZYX", [8, 8, 8], "8 x 8 x 8 nm"),
    ],
)
def test_a_volume_has_three_sizes_of_its_voxels(axes: str, size: list[float], shown: str) -> None:
    image = make_job(JobStatus.QUEUED).input.model_copy(
        update={"axes": axes, "shape": [9] * len(axes), "pixel_size_nm": size, "pixel_size_source": "file"}
    )
    assert f", {shown} (file)" in text_of(job_page(make_job(JobStatus.QUEUED, input=image), "http://lab"))


def test_a_running_job_shows_how_far_it_is() -> None:
    progress = Progress(fraction=0.42, done=42, total=100, unit="tiles", eta_seconds=31)
    job = make_job(JobStatus.RUNNING, stage=Stage.INFER, progress=progress, attempt=2)
    text = text_of(job_page(job, "http://lab"))
    assert "running, infer, attempt 2" in text
    assert "42% (42 of 100 tiles), about 31 s left" in text


def test_a_queued_job_says_how_many_are_ahead() -> None:
    assert describe(make_job(JobStatus.QUEUED, queue=QueuePlace(position=2))) == "queued, 2 ahead"
    assert describe(make_job(JobStatus.QUEUED, queue=QueuePlace(position=0))) == "queued, next"


def test_a_table_row_keeps_the_whole_id() -> None:
    long_id = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"
    text = text_of(job_table([make_job(job_id=long_id)]))
    assert long_id in text
    assert "succeeded" in text


@pytest.mark.parametrize(
    ("seconds", "expected"), [(5, "5 s ago"), (600, "10 min ago"), (7200, "2 h ago"), (-3, "0 s ago")]
)
def test_ages_are_short(seconds: int, expected: str) -> None:
    now = datetime(2026, 1, 2, tzinfo=UTC)
    assert age(now - timedelta(seconds=seconds), now) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (0.2, "about 1 s left"),
        (31, "about 31 s left"),
        (600, "about 10 min left"),
        (9000, "about 2.5 h left"),
    ],
)
def test_times_left_are_rough(seconds: float | None, expected: str) -> None:
    assert eta_text(seconds) == expected


def test_main_columns_prefer_nanometres_where_they_are_known() -> None:
    row: Row = {"label": 1, "area_px": 4, "area_nm2": 9.5, "odd": 1, "feret_max_px": 2, "feret_max_nm": None}
    assert main_columns(row) == ["label", "area_nm2", "feret_max_px"]
    assert main_columns({"a": 1, "b": 2}) == ["a", "b"]


def test_a_long_table_of_objects_says_how_many_more_there_are() -> None:
    rows: list[Row] = [{"label": n, "area_px": 12345.6, "circularity": None} for n in range(1, 21)]
    text = text_of(objects_table(rows))
    assert "and 5 more" in text
    assert "12346" in text
    assert " 16 " not in text
