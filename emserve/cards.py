"""Model cards: what a model segments, how its input is prepared, where its weights come from."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from emserve.errors import ModelMissing, UnknownModel
from emserve.params import Downsampling, Parameters

PACKAGED_CARDS = Path(__file__).parent / "cards"
STARTER = "starter"
DRAFTS = ".drafts"
"""Folder in the model folder for what a command that changes it needs meanwhile; gone when that ends."""
_STACK_SIZES = {"min_size": 500, "min_extent": 5}  # voxels; those of empanada-napari
_SEEN_SIZES = {"min_size", "min_slice_size"}  # of a model's own: in pixels that its network sees
_DOWNSAMPLINGS: tuple[Downsampling, ...] = (1, 2, 4, 8, 16, 32, 64)


class ModelState(StrEnum):
    """Whether a model can run."""

    MISSING = "missing"  # the card is known, its weights are not installed
    AVAILABLE = "available"  # weights are installed; the first job loads them
    LOADED = "loaded"  # a live worker holds the model warm


class Norms(BaseModel):
    """Mean and standard deviation of the training images, as fractions of the data type's maximum."""

    model_config = ConfigDict(frozen=True)

    mean: float
    std: Annotated[float, Field(gt=0)]


class Source(BaseModel):
    """Where a model's weights come from."""

    model_config = ConfigDict(frozen=True)

    publisher: str
    url: str | None = None
    record: str | None = None
    """Number of the publisher's record."""
    file: str | None = None
    """Name of the weights' file in that record, or of the file that was imported."""
    checksum: str | None = None
    """Algorithm and digest of that file, as its record stated them when it was installed."""
    sha256: str | None = None
    """SHA-256 of that file."""
    installed_at: datetime | None = None
    acceptance: dict[Literal["2d", "3d"], str] = {}
    """Numbers of the publisher's records with images to try the model on."""


class CardScore(BaseModel):
    """How well a model did on images with known objects; docs/evaluation.md defines the measures."""

    model_config = ConfigDict(frozen=True)

    data: str
    """Which images, at which downsampling, and whether they are generated or real."""
    f1_50: float
    f1_75: float
    foreground_iou: float
    objects: int
    """How many there are in truth."""


class ModelCard(BaseModel):
    """One version of one model. Frozen: a job pins the card it was accepted with."""

    model_config = ConfigDict(frozen=True)

    name: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]*$")]
    version: Annotated[str, Field(pattern="^[A-Za-z0-9._-]+$")]
    title: str
    description: str
    class_names: dict[int, str]
    """Class id (1 and up; 0 is background) to name."""
    thing_list: list[int]
    """Classes that have instances."""
    norms: Norms
    padding_factor: Annotated[int, Field(ge=1)]
    """Images are padded at the bottom and right to a multiple of this."""
    architecture: str
    """Name of the network in the registry of workers.models."""
    architecture_config: dict[str, Any] = {}  # the fields differ from one architecture to the next
    native_pixel_size_nm: float | None = None
    """Pixel size at which the weights do best."""
    defaults: dict[str, Any] = {}  # values of parameters are of many types; Parameters checks them
    """What parameters are with this model where a job does not say; the others have their usual defaults.
    `parameters` says what becomes of sizes."""
    stack_defaults: dict[str, Any] = {}  # as above
    """The same for volumes with `mode` stack or orthoplane, over `defaults`, whose sizes are for images."""
    trained_on: str | None = None
    scores: list[CardScore] = []
    weaknesses: str | None = None
    """Where it is known to fail."""
    source: Source
    licence: str
    citation: str
    weights_sha256: str | None = None
    """SHA-256 of the safetensors file; known once it is installed."""

    @field_validator("defaults", "stack_defaults")
    @classmethod
    def _known(cls, defaults: dict[str, Any]) -> dict[str, Any]:
        Parameters.model_validate(defaults)
        return defaults

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"

    def parameters(self, given: Parameters | None = None) -> Parameters:
        """`given`, with this model's own defaults for what was not said.

        A `min_size` or `min_slice_size` of the model's own is in pixels that its network sees: at 1/n of the
        resolution they are n * n of the image's.
        """
        return Parameters(**{**_as_seen(self.defaults, given), **_said(given)})

    def stack_parameters(self, given: Parameters, shape: Sequence[int]) -> Parameters:
        """As `parameters`, for a volume of `shape` as a stack or along all axes; null sizes are unsaid."""
        said = {
            name: value
            for name, value in _said(given).items()
            if name not in _STACK_SIZES or value is not None
        }
        own = {**self.defaults, **_STACK_SIZES, **_as_seen(self.stack_defaults, given)}
        own["min_extent"] = min(own["min_extent"], *shape)  # a stack of a few slices has nothing longer
        return Parameters(**{**own, **said})

    @property
    def is_starter(self) -> bool:
        return self.version == STARTER

    def downsampling_for(self, pixel_size_nm: Sequence[float]) -> Downsampling | None:
        """The power of two that brings pixels of this size nearest to the weights' own.

        None where the card does not know these.
        """
        if self.native_pixel_size_nm is None:
            return None
        # Sums of logarithms: the product of two sizes may be more, or less, than a float can hold.
        size_log = sum(math.log2(size) for size in pixel_size_nm) / len(pixel_size_nm)
        steps = round(math.log2(self.native_pixel_size_nm) - size_log)
        return _DOWNSAMPLINGS[min(max(steps, 0), len(_DOWNSAMPLINGS) - 1)]


def _said(given: Parameters | None) -> dict[str, Any]:  # values of parameters are of many types
    return {} if given is None else {name: getattr(given, name) for name in given.model_fields_set}


def _as_seen(defaults: dict[str, Any], given: Parameters | None) -> dict[str, Any]:  # as above
    """A model's own defaults, its sizes in pixels of the image."""
    shrunk = _said(given).get("downsampling", defaults.get("downsampling", 1))
    if shrunk == "auto":
        return defaults
    sizes = {name: value * shrunk**2 for name, value in defaults.items() if name in _SEEN_SIZES}
    return {**defaults, **sizes}


def removal_mark(model_dir: Path, card: ModelCard) -> Path:
    """A file that is there while the model is being removed; meanwhile no job is accepted for it."""
    return model_dir / DRAFTS / f"{card.id}.leaving"


class Catalogue:
    """The cards that this installation knows, packaged ones and those of the model folder.

    A card is `<name>@<version>.json`; its weights lie beside it as `<name>@<version>.safetensors`.
    """

    def __init__(self, model_dir: Path, pins: dict[str, str] | None = None) -> None:
        self._folders = (model_dir, PACKAGED_CARDS)
        self._pins = pins or {}

    @cached_property
    def _found(self) -> tuple[dict[str, ModelCard], list[Path]]:
        """The cards by id, and files that are none."""
        cards: dict[str, ModelCard] = {}
        strangers = []
        for folder in reversed(self._folders):
            for path in sorted(folder.glob("[!.]*.json")):
                card = _read(path)
                if card is None:
                    strangers.append(path)
                else:
                    cards[card.id] = card
        return cards, strangers

    @property
    def _cards(self) -> dict[str, ModelCard]:
        return self._found[0]

    @property
    def unreadable(self) -> list[Path]:
        """Files that should be cards and are not. They cost no other model."""
        return self._found[1]

    def cards(self) -> Iterable[ModelCard]:
        """Every card, by name and version."""
        return sorted(self._cards.values(), key=lambda card: (card.name, card.version))

    def weights(self, card: ModelCard) -> Path | None:
        """The installed weights of `card`, or None."""
        for folder in self._folders:
            path = folder / f"{card.id}.safetensors"
            if path.is_file():
                return path
        return None

    def is_leaving(self, card: ModelCard) -> bool:
        """Whether somebody is removing the model."""
        return removal_mark(self._folders[0], card).exists()

    def find(self, reference: str) -> ModelCard:
        """The card that `name` or `name@version` means, whether its weights are installed or not.

        A bare name is its pinned version, else the released one if that is installed, else the starter.
        """
        name, _, version = reference.partition("@")
        version = version or self._pins.get(name, "")
        if version:
            card = self._cards.get(f"{name}@{version}")
            if card is None:
                raise UnknownModel(reference, [card.id for card in self.cards()])
            return card
        candidates = [card for card in self.cards() if card.name == name]
        if not candidates:
            raise UnknownModel(reference, [card.id for card in self.cards()])
        # Released versions sort before the starter, the newest first; an installed one wins.
        candidates.sort(key=lambda card: _version_order(card.version), reverse=True)
        candidates.sort(key=lambda card: (self.weights(card) is None, card.is_starter))
        return candidates[0]

    def runnable(self, reference: str) -> ModelCard:
        """As `find`, but only a card whose weights are installed."""
        card = self.find(reference)
        if self.weights(card) is None:
            available = [card.id for card in self.cards() if self.weights(card)]
            raise ModelMissing(card.id, available)
        return card


def _read(path: Path) -> ModelCard | None:
    """The card at `path`, or None where there is none, or one of another name than its file's."""
    try:
        card = ModelCard.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):  # it may have been removed just now
        return None
    return card if card.id == path.stem else None


def _version_order(version: str) -> list[tuple[int, str]]:
    """Sorts 10 after 9: a run of digits counts as a number."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", version)]
