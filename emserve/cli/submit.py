"""`emserve submit`: sends images and, if wanted, waits and saves what came out."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from emserve.cli.awaiting import leaving_jobs, show_warnings, watch
from emserve.cli.client_options import AsJson, Url, url_hint
from emserve.cli.complaints import FAILED, complain
from emserve.cli.consoles import stderr, stdout
from emserve.cli.job_options import parse_parameters, parse_tags
from emserve.cli.job_view import objects_text
from emserve.cli.outputs import Outputs
from emserve.cli.progress import upload_progress
from emserve.client.client import Client
from emserve.client.errors import (
    ApiError,
    CorruptAnswer,
    JobCancelled,
    JobFailed,
    ServiceUnreachable,
    UnexpectedAnswer,
    UnusableImage,
)
from emserve.client.formats import Part
from emserve.client.stories import require_success
from emserve.client.submission import Submission
from emserve.jobs import Job


def _image(text: str) -> Path:
    """A path that is there; an empty one, such as of an unset variable, would be the current folder."""
    path = Path(text)
    if not text or not path.exists():
        raise typer.BadParameter(f"'{text}' does not exist.")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"'{text}' is not readable.")
    return path


def submit(  # the parameters are the command's options
    images: Annotated[
        list[Path],
        typer.Argument(
            metavar="IMAGE",
            parser=_image,
            help="TIFF, MRC, PNG or JPEG; a zip, or a folder, of slices or of an OME-Zarr.",
        ),
    ],
    model: Annotated[str, typer.Option(help="NAME or NAME@VERSION; `emserve models` lists them.")],
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A parameter, such as downsampling=2. May be repeated."),
    ] = None,
    params: Annotated[str | None, typer.Option(metavar="JSON", help="Parameters as one JSON object.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="A tag to find the job by. May be repeated.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the jobs have ended.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the label map: .tif (OME-TIFF), .npy, .png or .zarr.zip. Of several images, a folder."
        ),
    ] = None,
    objects: Annotated[
        Path | None, typer.Option(help="Save the measures of the objects: .csv or .json, or a folder.")
    ] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Save the image with the objects outlined: .png, or a folder.")
    ] = None,
    only_class: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Of a model of several classes, save the objects of this one only.",
        ),
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
) -> None:
    """Send images or volumes to be segmented.

    Saving anything waits for the jobs to end. With --json there is one job per line.
    """
    submission = Submission(model, parse_parameters(param or (), params), parse_tags(tag or ()))
    images = [image.resolve() if image.is_dir() else image for image in images]  # "." has no name
    outputs = Outputs(out, objects, preview, only_class).for_images(images)
    must_wait = wait or any(True for _ in outputs[0].wanted())
    with Client(url) as client:
        _require_class(client, model, only_class)
        accepted: list[Job] = []
        done: list[bool] = []
        with leaving_jobs(client, accepted):
            try:
                files_of = []
                for job, files in _send_all(client, images, outputs, submission):
                    accepted.append(job)
                    files_of.append(files)
            finally:  # whatever ended the sending, what was accepted goes on
                if not must_wait:
                    _announce(accepted, client.url, as_json)
            if must_wait:
                pairs = zip(accepted, files_of, strict=True)
                done = [_finish(client, job, files, as_json) for job, files in pairs]
    if len(accepted) < len(images) or not all(done):
        raise typer.Exit(FAILED)


def _require_class(client: Client, model: str, only_class: str | None) -> None:
    """Ends the command with code 2, before anything is sent, where the model has no such class."""
    if only_class is None:
        return
    classes = client.model(model).class_names
    if only_class not in {*classes.values(), *map(str, classes)}:
        raise typer.BadParameter(
            f"--class {only_class}: {model} has no such class. Its classes: {', '.join(classes.values())}."
        )


def _send_all(
    client: Client, images: Sequence[Path], outputs: Sequence[Outputs], submission: Submission
) -> Iterator[tuple[Job, Outputs]]:
    """Each accepted job, and where its results go.

    An image more or less, which cannot be sent or is refused, does not keep the others waiting; without an
    answer the rest is not sent. Either is complained of."""
    for number, (image, files) in enumerate(zip(images, outputs, strict=True), 1):
        try:
            job = _send(client, image, submission, files)
        except ApiError as error:
            complain(f"{image}: {error}")
        except (UnusableImage, OSError) as error:
            complain(str(error))
        except (ServiceUnreachable, UnexpectedAnswer) as error:
            left = images[number:]
            complain(f"{image}: {error}" + (f" Nothing was sent from {left[0]} on." if left else ""))
            return
        else:
            if job is not None:
                yield job, files


def _send(client: Client, image: Path, submission: Submission, files: Outputs) -> Job | None:
    """The accepted job; None, and a complaint, when its labels cannot be what they shall be saved as."""
    console = stderr()
    with upload_progress(console, image.name) as on_bytes:
        job = client.submit(image, submission.model, submission.params, submission.tags, on_bytes=on_bytes)
    console.print(Text(f"{image.name}: job {job.id}", "dim"), soft_wrap=True)
    show_warnings(job, image.name)
    if job.input.is_volume and files.labels is not None and files.labels.suffix.lower() == ".png":
        client.cancel(job.id)
        complain(
            f"{image} is a volume, and a PNG holds one slice. The job was cancelled: save the label map as "
            ".tif, .npy or .zarr.zip."
        )
        return None
    return job


def _finish(client: Client, job: Job, files: Outputs, as_json: bool) -> bool:
    """Waits for the job and saves its results; False, and a complaint, when it has none."""
    try:
        ended = watch(client, job)
    except (ApiError, UnexpectedAnswer) as error:
        complain(f"{job.input.filename}: {error}")
        return False
    if as_json:
        typer.echo(ended.model_dump_json())
    try:
        require_success(ended)
    except (JobFailed, JobCancelled) as error:
        complain(str(error))
        return False
    if not as_json and ended.result is not None:
        found = objects_text(ended.result.objects)
        stdout().print(Text(f"{ended.input.filename}: {ended.id} {ended.status}, {found}"), soft_wrap=True)
    saved = [_save(client, ended.id, part, path, files.class_of(part)) for part, path in files.wanted()]
    return all(saved)


def _save(client: Client, job_id: str, part: Part, path: Path, only_class: str | None) -> bool:
    """False, and a complaint, where it cannot be saved: what others found shall be, all the same."""
    try:
        client.save(job_id, part, path, only_class=only_class)
    except (ApiError, CorruptAnswer, OSError) as error:
        complain(f"{path}: {error}")
        return False
    stderr().print(Text(f"{part}: {path}", "dim"), soft_wrap=True)
    return True


def _announce(jobs: Sequence[Job], url: str, as_json: bool) -> None:
    """Ids and states on stdout, and what to do next."""
    for job in jobs:
        typer.echo(job.model_dump_json() if as_json else f"{job.id} {job.status}")
    if jobs and not as_json:
        follow = f"job {jobs[0].id} --wait" if len(jobs) == 1 else "jobs"
        stderr().print(Text(f"Next: emserve {follow}{url_hint(url)}", "dim"), soft_wrap=True)
