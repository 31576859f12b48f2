"""Images to try a model on: those that somebody gives, and those that its publisher offers for that."""

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import typer

from emserve.cli.consoles import stderr, warn
from emserve.cli.progress import download_progress
from emserve.client.errors import ClientError
from emserve.client.payload import is_zarr
from emserve.errors import EmserveError
from emserve.installer.errors import RecordUnusable
from emserve.installer.folder import ModelFolder
from emserve.installer.publisher import ZENODO, Publisher
from emserve.naming import IMAGE_SUFFIXES

_SUFFIXES = (*IMAGE_SUFFIXES, ".zip")


@dataclass(frozen=True)
class Sample:
    """An image, or a volume, to try a model on."""

    path: Path
    params: Mapping[str, object] = field(default_factory=dict)


def given_samples(path: Path) -> list[Sample]:
    """The image at `path`, a file or an OME-Zarr, or those in the folder there.

    Raises typer.BadParameter for a folder without any.
    """
    if path.is_file() or is_zarr(path):
        return [Sample(path)]
    samples = [Sample(each) for each in sorted(path.iterdir()) if _is_image(each)] if path.is_dir() else []
    if not samples:
        raise typer.BadParameter(
            f"{path} holds no image: no OME-Zarr, and no file that ends in {', '.join(_SUFFIXES)}.",
            param_hint="--image",
        )
    return samples


def _is_image(path: Path) -> bool:
    return is_zarr(path) if path.is_dir() else path.suffix.lower() in _SUFFIXES


def published_samples(
    acceptance: Mapping[str, str], publisher: Publisher, models: ModelFolder, folder: Path
) -> list[Sample]:
    """The images of the publisher's records in `acceptance` (2d and 3d), in `folder`.

    Those that cannot be had are told of and left out.
    """
    samples: list[Sample] = []
    for dimensions, number in acceptance.items():
        with _left_out(f"The {dimensions} images of record {number} are"):
            for name in _names_of_images(number, publisher):
                with _left_out(f"{name} of record {number} is"), models.changing():
                    path = _fetch(number, name, publisher, models, folder)
                    samples.append(Sample(path, _params(dimensions, name)))
    return samples


@contextlib.contextmanager
def _left_out(what: str) -> Iterator[None]:
    """What cannot be had in the block is told of, and ends nothing else."""
    try:
        yield
    except (EmserveError, ClientError) as error:
        warn(f"{what} left out: {error}")


def _names_of_images(number: str, publisher: Publisher) -> list[str]:
    """Raises DownloadFailed, and RecordUnusable where there is no record or no image in it."""
    record = publisher.record(number)
    if record is None:
        raise RecordUnusable(
            f"there is no {number}.json, the record that lists them. Fetch it from "
            f"{ZENODO}/api/records/{number}, or give the images themselves with --image."
        )
    names = [file.key for file in record.files if file.key.lower().endswith(_SUFFIXES)]
    if not names:
        raise RecordUnusable(f"the record lists no file that ends in {', '.join(_SUFFIXES)}.")
    return names


def _params(dimensions: str, name: str) -> dict[str, object]:
    """A published stack is a volume, whatever its TIFF says, or does not say, that the pages are."""
    is_stack = dimensions == "3d" and name.lower().endswith((".tif", ".tiff"))
    return {"axes": "ZYX"} if is_stack else {}


def _fetch(number: str, name: str, publisher: Publisher, models: ModelFolder, folder: Path) -> Path:
    with download_progress(stderr(), name) as on_bytes:
        fetched = publisher.file(number, name, models, on_bytes)
    target = folder / number / Path(name).name
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(fetched, target)
    publisher.done_with(fetched)
    return target
