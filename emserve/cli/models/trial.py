"""`emserve models test`: a model tried on an image with known objects, and on its publisher's own."""

import contextlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from emserve.cards import Catalogue, ModelState
from emserve.cli.awaiting import leaving_jobs, watch
from emserve.cli.client_options import AsJson
from emserve.cli.complaints import FAILED
from emserve.cli.consoles import stderr, stdout
from emserve.cli.evaluate import compare
from emserve.cli.models.listing import model_info
from emserve.cli.models.options import DataDir, ModelDir, chosen_settings
from emserve.cli.models.pull import From, opened_publisher
from emserve.cli.models.samples import Sample, given_samples, published_samples
from emserve.cli.phantoms import drawn_class, first_seed, has_truth_for, make_phantom
from emserve.cli.temporary_service import temporary_service
from emserve.client.client import Client
from emserve.client.errors import ClientError
from emserve.client.model_info import ModelInfo
from emserve.client.segmentation import Row
from emserve.client.stories import require_success
from emserve.errors import ModelMissing
from emserve.installer.download import Patience
from emserve.installer.folder import ModelFolder
from emserve.jobs import Job
from emserve.settings import Settings

_LARGEST = 10
_MEASURES = ("area_px", "volume_vx")


@dataclass(frozen=True)
class Trial:
    """What a model made of one image."""

    image: str
    objects: int = 0
    seconds: float = 0.0
    """From the job's start to its end."""
    largest: tuple[int, ...] = ()
    """Sizes of the ten largest objects."""
    measure: str | None = None
    """The column of the objects' table that these are: area_px, of a volume volume_vx."""
    f1: float | None = None
    """At an IoU of 0.5, where the objects are known."""
    problem: str | None = None
    """Why there is no result."""


def try_model(  # the parameters are the command's options
    model: Annotated[str, typer.Argument(metavar="MODEL", help="NAME or NAME@VERSION, installed.")],
    images: Annotated[
        list[Path] | None,
        typer.Option(
            "--image", exists=True, readable=True, help="Try it on this image or folder of images, too."
        ),
    ] = None,
    source: From = None,
    offline: Annotated[bool, typer.Option("--offline", help="Fetch no images of the publisher.")] = False,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Use this service. [default: one of its own]")
    ] = None,
    as_json: AsJson = False,
    model_dir: ModelDir = None,
    data_dir: DataDir = None,
) -> None:
    """Try an installed model on an image with known objects, and on its publisher's own.

    The images go the way of every job. The sizes of the ten largest objects of each are printed.
    """
    settings = chosen_settings(model_dir, data_dir)
    samples = [sample for image in images or [] for sample in given_samples(image)]
    tested = _in_folder(model, settings) if url is None else _at_service(model, url)
    acceptance = tested.source.get("acceptance") or {}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emserve-images-")))
        if not offline and acceptance:
            publisher = stack.enter_context(opened_publisher(source, settings, Patience.silence_seconds))
            samples += published_samples(acceptance, publisher, ModelFolder(settings.models), folder)
        if url is None:
            with stderr().status("Starting a service for the test"):
                url = stack.enter_context(temporary_service(settings))
        client = stack.enter_context(Client(url))
        trials = [
            _on_phantom(client, tested, folder),
            *(_on_sample(client, tested, sample) for sample in samples),
        ]
    _show(tested, trials, as_json)
    if any(trial.problem is not None for trial in trials):
        raise typer.Exit(FAILED)


def _in_folder(model: str, settings: Settings) -> ModelInfo:
    """Raises UnknownModel and ModelMissing."""
    catalogue = Catalogue(settings.models, settings.model_pin)
    return model_info(catalogue.runnable(model), catalogue)


def _at_service(model: str, url: str) -> ModelInfo:
    """What the service there understands by the name. Raises ModelMissing, ClientError."""
    with Client(url) as client:
        found = client.model(model)
        if found.state == ModelState.MISSING:
            installed = [each.id for each in client.models() if each.state != ModelState.MISSING]
            raise ModelMissing(found.id, installed)
    return found


def _on_phantom(client: Client, model: ModelInfo, folder: Path) -> Trial:
    """A made-up image. Its objects are known, so those that the model finds are compared with them."""
    class_names = list(model.class_names.values())
    image, truth, labels = folder / "phantom.tif", folder / "truth.tif", folder / "labels.tif"
    structure = drawn_class(class_names)
    make_phantom(image, truth, structure, first_seed(structure))

    def attempt() -> Trial:
        job = _segmented(client, model, Sample(image))
        client.save(job.id, "labels", labels)
        f1 = compare(labels, truth).f1_50 if has_truth_for(class_names) else None
        return _trial("phantom", client, job, f1)

    return _outcome("phantom", attempt)


def _on_sample(client: Client, model: ModelInfo, sample: Sample) -> Trial:
    name = sample.path.name
    return _outcome(name, lambda: _trial(name, client, _segmented(client, model, sample), None))


def _outcome(name: str, attempt: Callable[[], Trial]) -> Trial:
    """What a service refuses, or fails at, is the outcome of that image and ends no other."""
    try:
        return attempt()
    except ClientError as error:
        return Trial(name, problem=str(error))


def _segmented(client: Client, model: ModelInfo, sample: Sample) -> Job:
    job = client.submit(sample.path, model.id, sample.params, tags={"made-by": "emserve-models-test"})
    with leaving_jobs(client, [job]):
        ended = watch(client, job)
    require_success(ended)
    return ended


def _trial(name: str, client: Client, job: Job, f1: float | None) -> Trial:
    rows = client.objects(job.id)
    begun, finished = job.started_at, job.finished_at
    seconds = (finished - begun).total_seconds() if begun and finished else 0.0
    measure = next((each for each in _MEASURES if rows and each in rows[0]), None)
    return Trial(name, len(rows), seconds, _largest(rows, measure), measure, f1)


def _largest(rows: list[Row], measure: str | None) -> tuple[int, ...]:
    values = [row.get(measure) for row in rows if measure]
    sizes = [int(value) for value in values if isinstance(value, int | float)]
    return tuple(sorted(sizes, reverse=True)[:_LARGEST])


def _show(model: ModelInfo, trials: list[Trial], as_json: bool) -> None:
    if as_json:
        shown = {"model": model.id, "sha256": model.sha256, "trials": [asdict(each) for each in trials]}
        typer.echo(json.dumps(shown))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", title_justify="left")
    for name in ("image", "objects", "seconds", "F1", "measure", "ten largest objects"):
        table.add_column(
            name, overflow="fold", justify="right" if name in {"objects", "seconds", "F1"} else "left"
        )
    for trial in trials:
        f1 = "-" if trial.f1 is None else f"{trial.f1:.2f}"
        if trial.problem is not None:
            table.add_row(Text(trial.image), "-", "-", "-", "-", Text(trial.problem, "red"))
            continue
        sizes = Text(" ".join(map(str, trial.largest)))
        table.add_row(
            Text(trial.image), str(trial.objects), f"{trial.seconds:.1f}", f1, trial.measure or "-", sizes
        )
    stdout().print(Text(f"{model.id}, SHA-256 {model.sha256}", "bold"), table, sep="\n")
