"""Which files a command writes for each image, decided before anything is uploaded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from emserve.client.errors import UnknownFormat
from emserve.client.formats import Part, Wanted, format_of
from emserve.naming import bare_name

_OPTIONS: dict[Part, str] = {"labels": "--out", "objects": "--objects", "preview": "--preview"}
_ENDINGS: dict[Part, str] = {"labels": ".labels.tif", "objects": ".objects.csv", "preview": ".preview.png"}


@dataclass(frozen=True)
class Outputs:
    """Files, or folders for them; None: not wanted."""

    labels: Path | None = None
    objects: Path | None = None
    preview: Path | None = None
    only_class: str | None = None
    """Name or id of the class that is wanted of labels and objects; None: all."""

    def class_of(self, part: Part) -> str | None:
        """The class that `part` is narrowed to."""
        return None if part == "preview" else self.only_class

    def wanted(self) -> Iterator[tuple[Part, Path]]:
        if self.labels is not None:
            yield "labels", self.labels
        if self.objects is not None:
            yield "objects", self.objects
        if self.preview is not None:
            yield "preview", self.preview

    def for_images(self, images: Sequence[Path]) -> list["Outputs"]:
        """The files of each image. A name that cannot be meant ends the command with code 2."""
        several = len(images) > 1
        if self.only_class is not None and self.labels is None and self.objects is None:
            raise typer.BadParameter("--class says what --out or --objects saves: give one of them, too.")
        if several and any(True for _ in self.wanted()):
            _refuse_same_names(images)
        return [self._for_image(image, several) for image in images]

    def _for_image(self, image: Path, several: bool) -> "Outputs":
        files = {part: self._file_for(part, path, image, several) for part, path in self.wanted()}
        return Outputs(files.get("labels"), files.get("objects"), files.get("preview"), self.only_class)

    def _file_for(self, part: Part, path: Path, image: Path, several: bool) -> Path:
        if path.is_dir() or (several and not path.suffix):
            return path / f"{bare_name(image.name)}{_ENDINGS[part]}"
        if several:
            raise typer.BadParameter(
                f"{_OPTIONS[part]} {path}: with several images it is a folder, in which each gets a file "
                f"such as {bare_name(image.name)}{_ENDINGS[part]}."
            )
        try:
            Wanted(part, format_of(part, path), self.class_of(part))
        except UnknownFormat as error:
            raise typer.BadParameter(
                f"{_OPTIONS[part]}: {error} A folder that exists will do, too."
            ) from error
        return path


def _refuse_same_names(images: Sequence[Path]) -> None:
    seen: dict[str, Path] = {}
    for image in images:
        if (other := seen.setdefault(bare_name(image.name), image)) is not image:
            raise typer.BadParameter(
                f"{other} and {image} would be written to files of one name. Submit them one after the other."
            )
