"""A folder of phantoms that one process fills while another trains on it: `python -m training.pool`."""

import io
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.progress import track

from training.phantoms import Phantom, Truth, make_phantom
from training.whole_file import why_not, write_whole

FIRST_SEED = 1_000_000  # seeds below are for evaluation, never for training
_SHAPE = (576, 576)
_FINEST_NM, _COARSEST_NM = 5.0, 36.0  # for nuclei too, which want a wide field
_NICE = 5  # the training that waits for them goes first
_LOOK_AGAIN = 200  # draws between two looks into the folder


class OtherGenerator(Exception):
    """A pool was made by another version of the generator."""


class CannotFill(Exception):
    """A phantom cannot be written; make room, then start the pool again and it goes on."""


def fill(folder: Path, count: int) -> None:
    """Make phantoms until `folder` holds `count` of them; those that are there stay.

    Several processes may fill one folder: each takes the seeds in an order of its own. Raises OtherGenerator
    as `check` does, CannotFill where the disk is full or the folder cannot be written.
    """
    check(folder)
    later = FIRST_SEED + 1 + np.random.default_rng().permutation(max(0, count - 1))
    for seed in track([FIRST_SEED, *later.tolist()][:count], "phantoms"):
        path = folder / f"{seed}.npz"
        if not path.exists():
            content = _file_of(_phantom(seed))
            try:
                write_whole(path, content, several_writers=True)
            except OSError as error:
                raise CannotFill(
                    f"{path} cannot be written: {why_not(error)}, or name another folder, then start the "
                    f"pool again: it goes on. Its {count} phantoms take about "
                    f"{count * len(content) / 1e6:,.0f} MB."
                ) from error


def check(folder: Path) -> None:
    """Raises OtherGenerator where the first phantom in `folder` is not what its seed gives now."""
    first = folder / f"{FIRST_SEED}.npz"
    if first.exists() and not _holds(first, _phantom(FIRST_SEED)):
        raise OtherGenerator(
            f"the phantoms in {folder} were made by another version of the generator. "
            "Delete the folder, or name another one."
        )


def _phantom(seed: int) -> Phantom:
    return make_phantom(seed, _SHAPE, _pixel_size_nm(seed))


def _holds(path: Path, phantom: Phantom) -> bool:
    """Whether `path` holds this very phantom, with all that a training reads."""
    wanted = {"image": phantom.image, **vars(phantom.truth)}
    with np.load(path) as file:
        return all(name in file and np.array_equal(file[name], wanted[name]) for name in wanted)


def _pixel_size_nm(seed: int) -> float:
    """One of the sizes from the finest to the coarsest, each octave as often as another."""
    octaves = np.log2(_COARSEST_NM / _FINEST_NM)
    return float(_FINEST_NM * 2 ** np.random.default_rng((seed, 1)).uniform(0, octaves))


def _file_of(phantom: Phantom) -> memoryview:
    file = io.BytesIO()
    np.savez(file, image=phantom.image, pixel_size_nm=phantom.pixel_size_nm, **asdict(phantom.truth))
    return file.getbuffer()


def _stored_pixel_size_nm(path: Path) -> float:
    with np.load(path) as file:
        return float(file["pixel_size_nm"])


class PhantomPool:
    """Draws phantoms from a folder that may still be growing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sizes: dict[Path, float] = {}
        """Pixel size in nanometres of each, in the order of their names."""
        self._draws = 0

    def __len__(self) -> int:
        paths = sorted(self.folder.glob("*.npz"))
        self._sizes = {path: self._sizes.get(path) or _stored_pixel_size_nm(path) for path in paths}
        return len(paths)

    def draw(
        self, rng: np.random.Generator, finest_nm: float = 0.0, coarsest_nm: float = float("inf")
    ) -> Phantom:
        """One phantom at random, of pixels in these limits where there is one; the folder must hold one."""
        if self._draws % _LOOK_AGAIN == 0:
            len(self)
        self._draws += 1
        fitting = [path for path, size in self._sizes.items() if finest_nm <= size <= coarsest_nm]
        paths = fitting or list(self._sizes)
        with np.load(paths[rng.integers(len(paths))]) as file:
            image: NDArray[np.uint8] = file["image"]
            truth = Truth(**{field.name: file[field.name] for field in fields(Truth)})
            return Phantom(image, truth, float(file["pixel_size_nm"]))


def main(
    folder: Annotated[Path, typer.Argument()] = Path("training/runs/pool"),
    count: Annotated[int, typer.Option(help="Number of phantoms")] = 1600,
) -> None:
    """Make the phantoms that training draws from; about two a second on a core."""
    os.nice(_NICE)
    try:
        fill(folder, count)
    except (CannotFill, OtherGenerator) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    typer.run(main)
