"""A job for people: as a page of its own and as a row of a table."""

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from emserve.cli.progress import describe, eta_text
from emserve.jobs import Job, JobInput, JobStatus
from emserve.params import Parameters

_STYLES = {
    JobStatus.SUCCEEDED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.CANCELLING: "yellow",
    JobStatus.RUNNING: "cyan",
}


def job_page(job: Job, url: str) -> RenderableType:
    """Everything that one wants to know of a job; `url` makes its links whole."""
    grid = Table.grid(padding=(0, 3))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _facts(job):
        grid.add_row(name, value)
    for warning in job.warnings:
        grid.add_row("Warning", Text(f"{warning.code}: {warning.detail}", "yellow"))
    if job.error is not None:
        grid.add_row("Error", Text(f"{job.error.title}: {job.error.detail}", "red"))
    for name, link in job.links.items():
        grid.add_row(name, Text(f"{url}{link}" if link.startswith("/") else link))
    return Group(Text(job.id, "bold"), grid)


def job_table(jobs: Iterable[Job]) -> Table:
    """A row for each job."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("id", no_wrap=True)
    for name in ("status", "model", "image", "objects", "created", "tags"):
        table.add_column(name, justify="right" if name == "objects" else "left")
    for job in jobs:
        table.add_row(
            job.id,
            _status(job),
            job.model.id,
            Text(job.input.filename),
            "" if job.result is None else str(job.result.objects),
            age(job.created_at, datetime.now(UTC)),
            Text(_tags(job)),
        )
    return table


def objects_text(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def changed_parameters(params: Parameters) -> dict[str, object]:
    """Those that are not what a bare request gets."""
    usual = Parameters()
    return {
        name: value
        for name, value in params.model_dump(mode="json").items()
        if value != usual.model_dump(mode="json")[name]
    }


def age(moment: datetime, now: datetime) -> str:
    """How long ago: `31 s ago`, `5 min ago`; the date once it is more than two days."""
    seconds = max(0, int((now - moment).total_seconds()))
    if seconds < 90:
        return f"{seconds} s ago"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min ago"
    if seconds < 48 * 3600:
        return f"{round(seconds / 3600)} h ago"
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _facts(job: Job) -> Iterable[tuple[str, RenderableType]]:
    yield "Status", _status(job)
    if job.progress is not None and not job.status.ended:
        at = job.progress
        left = eta_text(at.eta_seconds)
        percent = f"{at.fraction:.0%} ({at.done} of {at.total} {at.unit})"
        yield "Progress", Text(f"{percent}, {left}" if left else percent)
    yield "Model", Text(job.model.id)
    yield "Image", Text(_image(job.input))
    changed = ", ".join(f"{name}={value}" for name, value in changed_parameters(job.params).items())
    yield "Parameters", Text(changed or "all as usual")
    if job.tags:
        yield "Tags", Text(_tags(job))
    yield "Created", Text(f"{job.created_at.astimezone():%Y-%m-%d %H:%M:%S}")
    if job.started_at is not None and job.finished_at is not None:
        yield "Took", Text(f"{(job.finished_at - job.started_at).total_seconds():.1f} s")
    if job.expires_at is not None:
        yield "Kept until", Text(f"{job.expires_at.astimezone():%Y-%m-%d %H:%M:%S}")
    if job.result is not None:
        result = job.result
        found = objects_text(result.objects)
        yield "Result", Text(f"{found}, {result.dtype}, on {result.device} ({result.precision})")


def _status(job: Job) -> Text:
    return Text(describe(job), _STYLES.get(job.status, ""))


def _image(image: JobInput) -> str:
    sides = " x ".join(str(side) for side in image.shape)
    size = ""
    if image.pixel_size_nm is not None:
        sides_nm = image.pixel_size_nm
        if not image.is_volume and len(set(sides_nm)) == 1:
            sides_nm = sides_nm[:1]  # square pixels, as nearly all are
        nm = " x ".join(f"{side:g}" for side in sides_nm)
        size = f", {nm} nm ({image.pixel_size_source})"
    return f"{image.filename}, {sides} {image.axes}, {image.dtype}{size}, {decimal(image.bytes)}"


def _tags(job: Job) -> str:
    return " ".join(f"{name}={value}" for name, value in job.tags.items())
