"""Installing: a released model from its publisher, or a lab's own from its files."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from emserve.cards import PACKAGED_CARDS, Catalogue, ModelCard, Source
from emserve.installer.conversion import Conversion
from emserve.installer.download import OnBytes
from emserve.installer.errors import ModelExists, NotPublished, RecordUnusable
from emserve.installer.exported_config import ExportedConfig
from emserve.installer.folder import FirstSeen, ModelFolder, digest
from emserve.installer.publisher import Publisher
from emserve.installer.record import Record

_UNKNOWN = "unknown"

Convert = Callable[[Path, Path], Conversion]
"""Makes weights (the second path) of a file that torch wrote (the first)."""


@dataclass(frozen=True)
class Identity:
    """What a lab calls its model."""

    name: str
    version: str
    title: str
    description: str
    licence: str = _UNKNOWN
    citation: str = _UNKNOWN
    native_pixel_size_nm: float | None = None

    @property
    def id(self) -> str:
        return f"{self.name}@{self.version}"


def released_cards() -> dict[str, ModelCard]:
    """The cards of released models by id; their weights come from their publisher."""
    cards = Catalogue(PACKAGED_CARDS).cards()
    return {card.id: card for card in cards if card.source.record and card.source.file}


def released_card(reference: str) -> ModelCard:
    """The released model of that name or id. Raises NotPublished."""
    cards = released_cards()
    for card in cards.values():
        if reference in {card.name, card.id}:
            return card
    raise NotPublished(reference, sorted(cards))


class Installer:
    """Puts models into a folder; what goes wrong leaves it as it was."""

    def __init__(self, folder: ModelFolder, convert: Convert) -> None:
        self._folder = folder
        self._convert = convert

    def pull(self, card: ModelCard, publisher: Publisher, on_bytes: OnBytes) -> ModelCard:
        """Installs a released model; its card as it stands now, with what its record says.

        Raises ModelExists, the publisher's errors, FileChanged, the folder's errors and those of conversion.
        """
        number, name = card.source.record, card.source.file
        if number is None or name is None:
            raise NotPublished(card.id, sorted(released_cards()))
        with self._folder.changing() as drafts:
            self._require_absence(card)
            record = publisher.record(number)
            file = publisher.file(number, name, self._folder, on_bytes)
            checksum = record.file(name).checksum if record else None
            seen = FirstSeen(sha256=digest(file, "sha256"), checksum=checksum)
            self._folder.require_unchanged(f"{number}/{name}", seen)
            weights = drafts / "weights.safetensors"
            conversion = self._convert(file, weights)
            _require_classes(card, conversion)
            source = card.source.model_copy(update={**seen.model_dump(), "installed_at": _now()})
            installed = _converted(card, conversion, source)
            if record is not None:
                installed = _as_recorded(installed, record)
            # Only now: a file that was refused is not the first.
            self._folder.remember(f"{number}/{name}", seen, drafts)
            self._folder.install(installed, weights)
            publisher.done_with(file)
        return installed

    def bring(self, file: Path, config_file: Path, identity: Identity) -> ModelCard:
        """Installs a lab's own model from what empanada exported: weights, and a yaml that describes them.

        Raises ModelExists, ConfigInvalid, OSError, the folder's errors and those of conversion.
        """
        config = ExportedConfig.read(config_file)
        with self._folder.changing() as drafts:
            card = _own_card(identity, config, file)
            self._require_absence(card)
            self._folder.require_room(file.stat().st_size)
            weights = drafts / "weights.safetensors"
            conversion = self._convert(file, weights)
            config.require_classes_of(conversion, config_file.name)
            installed = _converted(card, conversion, card.source)
            self._folder.install(installed, weights)
        return installed

    def _require_absence(self, card: ModelCard) -> None:
        if self._folder.weights_file(card).exists() or self._folder.card_file(card).exists():
            raise ModelExists(card.id)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _own_card(identity: Identity, config: ExportedConfig, file: Path) -> ModelCard:
    """The card before the weights are known."""
    return ModelCard(
        name=identity.name,
        version=identity.version,
        title=identity.title,
        description=identity.description,
        class_names=config.class_names,
        thing_list=config.thing_list,
        norms=config.norms,
        padding_factor=config.padding_factor,
        architecture=_UNKNOWN,
        native_pixel_size_nm=identity.native_pixel_size_nm,
        source=Source(
            publisher="imported", file=file.name, sha256=digest(file, "sha256"), installed_at=_now()
        ),
        licence=identity.licence,
        citation=identity.citation,
    )


def _converted(card: ModelCard, conversion: Conversion, source: Source) -> ModelCard:
    """The card with the network that the file really holds, whatever was expected."""
    return card.model_copy(
        update={
            "architecture": conversion.architecture,
            "architecture_config": conversion.architecture_config,
            "weights_sha256": conversion.sha256,
            "source": source,
        }
    )


def _as_recorded(card: ModelCard, record: Record) -> ModelCard:
    """Licence and citation of the record; the paper that a card names stays beside them."""
    papers = [card.citation] if card.citation != _UNKNOWN else []
    citations = [*papers, *([record.citation] if record.citation else [])]
    return card.model_copy(
        update={"licence": record.licence or card.licence, "citation": " ".join(citations) or _UNKNOWN}
    )


def _require_classes(card: ModelCard, conversion: Conversion) -> None:
    if not conversion.has_classes(len(card.class_names)):
        raise RecordUnusable(
            f"The file of {card.id} holds a network of {conversion.channels} semantic channels, and the "
            f"model has the classes {', '.join(card.class_names.values())}. It is another model's file."
        )
