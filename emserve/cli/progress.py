"""How far an upload and a job are: a bar on a terminal, else a line whenever something changes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from emserve.client.payload import OnBytes
from emserve.client.stories import OnProgress
from emserve.installer.download import OnBytes as OnDownloaded
from emserve.jobs import Job, JobStatus


@contextmanager
def upload_progress(console: Console, name: str) -> Iterator[OnBytes]:
    """Shows the bytes that it is told of."""
    if not console.is_terminal:
        yield _plain_upload(console, name)
        return
    with _bar(console, f"{name}: sending", DownloadColumn(), TransferSpeedColumn()) as move:
        yield lambda sent, total: move(completed=sent, total=total)


@contextmanager
def download_progress(console: Console, name: str) -> Iterator[OnDownloaded]:
    """Shows the bytes that it is told of, and what time they leave."""
    if not console.is_terminal:
        yield _plain_download(console, name)
        return
    columns = (DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with _bar(console, f"{name}: asking", *columns) as move:

        def show(have: int, total: int) -> None:
            text = f"{name}: fetching" if have < total else f"{name}: checking and converting"
            move(description=text, completed=have, total=total)

        yield show


@contextmanager
def job_progress(console: Console, name: str) -> Iterator[OnProgress]:
    """Shows the job that it is told of."""
    if not console.is_terminal:
        yield _plain_job(console, name)
        return
    columns = (TaskProgressColumn(), TextColumn("{task.fields[steps]}"), TextColumn("{task.fields[eta]}"))
    with _bar(console, f"{name}: waiting", *columns, steps="", eta="") as move:

        def show(job: Job) -> None:
            at, ended = job.progress, job.status.ended
            move(
                description=f"{name}: {describe(job)}",
                total=1.0 if at or ended else None,
                completed=at.fraction if at else float(ended),
                steps=f"{at.done} of {at.total} {at.unit}" if at and at.total > 1 else "",
                eta=eta_text(at.eta_seconds) if at else "",
            )

        yield show


@contextmanager
def _bar(
    console: Console, text: str, *columns: ProgressColumn, **fields: Any
) -> Iterator[Callable[..., None]]:
    """A bar that goes when it ends; gives what moves it. `fields`, of any type, are for its columns."""
    first = (TextColumn("{task.description}", markup=False), BarColumn())
    with Progress(*first, *columns, console=console, transient=True) as progress:
        yield partial(progress.update, progress.add_task(text, total=None, **fields))


def describe(job: Job) -> str:
    """Status in a few words: `queued, 2 ahead`, `running, infer`."""
    if job.status is JobStatus.QUEUED and job.queue is not None:
        return f"queued, {job.queue.position} ahead" if job.queue.position > 0 else "queued, next"
    again = f", attempt {job.attempt}" if job.attempt > 1 and not job.status.ended else ""
    stage = f", {job.stage}" if job.stage is not None and not job.status.ended else ""
    return f"{job.status}{stage}{again}"


def eta_text(seconds: float | None) -> str:
    """`about 31 s left`; nothing when it is unknown."""
    if seconds is None:
        return ""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"about {whole} s left"
    return f"about {round(whole / 60)} min left" if whole < 5400 else f"about {whole / 3600:.1f} h left"


def _plain_upload(console: Console, name: str) -> OnBytes:
    def show(sent: int, total: int | None) -> None:
        if sent == total:
            console.print(Text(f"{name}: {decimal(sent)} sent"), soft_wrap=True)

    return show


def _plain_download(console: Console, name: str) -> OnDownloaded:
    told = -1

    def show(have: int, total: int) -> None:
        nonlocal told
        tenth = 10 * have // max(1, total)
        if tenth != told:
            told = tenth
            console.print(Text(f"{name}: {decimal(have)} of {decimal(total)}"), soft_wrap=True)

    return show


def _plain_job(console: Console, name: str) -> OnProgress:
    last = ""

    def show(job: Job) -> None:
        nonlocal last
        if (text := describe(job)) != last:
            last = text
            console.print(Text(f"{name}: {text}"), soft_wrap=True)

    return show
