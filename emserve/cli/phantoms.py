"""Made-up images with known objects, for the commands that show or try a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emserve.cli.programs import run_program

SMALLEST_SIDE, LARGEST_SIDE = 64, 8192  # of what the generator makes
_SECONDS = 600.0


@dataclass(frozen=True)
class View:
    """What of the generator's world an image shows."""

    seed: int
    pixel_size_nm: float | None = None
    """None: the seed chooses."""


_FIRST_VIEWS = {"mito": View(42), "nuclei": View(36, 30.0), "lipid": View(42, 10.0)}
"""By class: images with several of its objects. Seldom has a small image a nucleus, or a droplet, at all."""


def drawn_class(class_names: Sequence[str]) -> str:
    """The first class of a model where phantoms have it, else mito."""
    return class_names[0] if class_names and class_names[0] in _FIRST_VIEWS else "mito"


def has_truth_for(class_names: Sequence[str]) -> bool:
    """Whether all that a model segments is known of a phantom: it has one class, and phantoms have it."""
    return len(class_names) == 1 and class_names[0] in _FIRST_VIEWS


def first_seed(structure: str) -> int:
    """The seed of the first image to show of a class."""
    return _FIRST_VIEWS[structure].seed


def make_phantom(image: Path, truth: Path, structure: str, seed: int, size: int = 512) -> None:
    """Writes an image of `size` x `size` pixels and its objects of the class `structure`, as TIFFs.

    Raises ProgramFailed, and OSError where the folder cannot be made."""
    image.parent.mkdir(parents=True, exist_ok=True)
    pixel_size = _FIRST_VIEWS[structure].pixel_size_nm
    arguments = ["--out", str(image), "--truth", str(truth), "--structure", structure]
    arguments += ["--seed", str(seed), "--size", str(size)]
    if pixel_size is not None:
        arguments += ["--pixel-size-nm", str(pixel_size)]
    run_program("training.phantoms", *arguments, extra="worker", seconds=_SECONDS)
