"""`emserve demo`: a made-up image with known objects goes the whole way, and the result is scored."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from emserve.cli.awaiting import leaving_jobs, watch
from emserve.cli.client_options import Url
from emserve.cli.consoles import stderr, stdout
from emserve.cli.evaluate import compare
from emserve.cli.objects_table import objects_table
from emserve.cli.programs import run_program
from emserve.cli.progress import upload_progress
from emserve.client.client import Client
from emserve.client.model_info import ModelInfo
from emserve.client.stories import require_success
from emserve.jobs import Job
from emserve.scores import Scores

_MAKE_SECONDS = 600.0
_MITOCHONDRIA = "mito"


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
    seed: Annotated[int, typer.Option(min=0, help="Another seed makes another image.")] = 43,
    size: Annotated[int, typer.Option(min=64, help="Pixels a side.")] = 512,
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
        class_name = _class_name(client.models(), model)  # asked before anything is made
        stderr().print(Text(f"Making an image of {size} x {size} pixels (seed {seed})", "dim"))
        _make_phantom(files, class_name, seed, size)
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


def _class_name(models: list[ModelInfo], model: str) -> str:
    """What the model segments; a model that the service does not know it will refuse itself."""
    names = [info.class_names for info in models if model in {info.id, info.name}]
    return next(iter(names[0].values()), _MITOCHONDRIA) if names else _MITOCHONDRIA


def _make_phantom(files: DemoFiles, class_name: str, seed: int, size: int) -> None:
    files.folder.mkdir(parents=True, exist_ok=True)
    kind = ["--structure", class_name]
    places = ["--out", str(files.image), "--truth", str(files.truth)]
    sizes = ["--seed", str(seed), "--size", str(size)]
    run_program("training.phantoms", *places, *kind, *sizes, extra="worker", seconds=_MAKE_SECONDS)


def _segment(client: Client, image: Path, model: str) -> Job:
    """The succeeded job. Raises JobFailed or JobCancelled."""
    with upload_progress(stderr(), image.name) as on_bytes:
        job = client.submit(image, model, tags={"made-by": "emserve-demo"}, on_bytes=on_bytes)
    with leaving_jobs(client, [job]):
        ended = watch(client, job)
    require_success(ended)
    return ended


def _show_score(console: Console, score: Scores) -> None:
    text = Text.assemble(
        "\n",
        (f"F1 {score.f1_50:.2f}", "bold"),
        f" at IoU 0.5: precision {score.precision_50:.2f}, recall {score.recall_50:.2f}; "
        f"{score.predicted} objects found, {score.true} there.",
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
