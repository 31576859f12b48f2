"""`emserve demo`: a made-up image with known objects goes the whole way, and the result is scored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from emserve.cli.awaiting import leaving_jobs, show_warnings, watch
from emserve.cli.client_options import Url
from emserve.cli.consoles import stderr, stdout
from emserve.cli.evaluate import compare
from emserve.cli.job_view import objects_text
from emserve.cli.objects_table import objects_table
from emserve.cli.phantoms import LARGEST_SIDE, SMALLEST_SIDE, drawn_class, first_seed, make_phantom
from emserve.cli.progress import upload_progress
from emserve.client.client import Client
from emserve.client.model_info import ModelInfo
from emserve.client.stories import require_success
from emserve.jobs import Job
from emserve.scores import Scores


@dataclass(frozen=True)
class DemoFiles:
    """Where everything goes."""

    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / "phantom.tif"

    @property
    def truth(self) -> Path:
        return self.folder / "phantom.truth.tif"

    @property
    def labels(self) -> Path:
        return self.folder / "phantom.labels.ome.tif"

    @property
    def objects(self) -> Path:
        return self.folder / "phantom.objects.csv"

    @property
    def preview(self) -> Path:
        return self.folder / "phantom.preview.png"


def demo(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the image and its results.")] = Path(
        "demo"
    ),
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, help="Another seed makes another image. [default: one that shows what the model finds]"
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=SMALLEST_SIDE, max=LARGEST_SIDE, help="Pixels a side.")] = 512,
    model: Annotated[
        str, typer.Option(help="NAME or NAME@VERSION; `emserve models` lists them.")
    ] = "mitonet",
    url: Url = None,
) -> None:
    """Segment a made-up image with known objects, and score the result.

    The image is sent over HTTP to a running service: `emserve up` starts one.
    """
    files = DemoFiles(out)
    with Client(url) as client:
        structure = _structure(client.models(), model)  # asked before anything is made
        seed = first_seed(structure) if seed is None else seed
        stderr().print(Text(f"Making an image of {size} x {size} pixels (seed {seed})", "dim"))
        make_phantom(files.image, files.truth, structure, seed, size)
        job = _segment(client, files.image, model)
        client.save(job.id, "labels", files.labels)
        client.save(job.id, "objects", files.objects)
        client.save(job.id, "preview", files.preview)
        rows = client.objects(job.id)
    console = stdout()
    if rows:
        console.print(objects_table(rows))
    _show_score(console, compare(files.labels, files.truth))
    _show_files(console, files, job)


def _structure(models: list[ModelInfo], model: str) -> str:
    """What the image is to show; a model that the service does not know it will refuse itself."""
    classes = [list(info.class_names.values()) for info in models if model in {info.id, info.name}]
    return drawn_class(classes[0] if classes else [])


def _segment(client: Client, image: Path, model: str) -> Job:
    """The succeeded job. Raises JobFailed or JobCancelled."""
    with upload_progress(stderr(), image.name) as on_bytes:
        job = client.submit(image, model, tags={"made-by": "emserve-demo"}, on_bytes=on_bytes)
    show_warnings(job, image.name)
    with leaving_jobs(client, [job]):
        ended = watch(client, job)
    require_success(ended)
    return ended


def _show_score(console: Console, score: Scores) -> None:
    text = Text.assemble(
        "\n",
        (f"F1 {score.f1_50:.2f}", "bold"),
        f" at IoU 0.5: precision {score.precision_50:.2f}, recall {score.recall_50:.2f}; "
        f"{objects_text(score.predicted)} found, {score.true} there.",
    )
    console.print(text, soft_wrap=True)


def _show_files(console: Console, files: DemoFiles, job: Job) -> None:
    lines = {
        "Image": files.image,
        "Truth": files.truth,
        "Labels": files.labels,
        "Objects": files.objects,
        "Preview": files.preview,
    }
    text = "\n".join(f"{name:<9}{path}" for name, path in lines.items())
    console.print(Text(f"\n{text}\n{'Job':<9}{job.id}, {job.model.id}"), soft_wrap=True)
