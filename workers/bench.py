"""The bench: what a warm child keeps from job to job."""

import logging
from dataclasses import dataclass
from typing import Self

import torch

from emserve.book import JobBook
from emserve.cards import Catalogue, ModelCard
from emserve.errors import EmserveError
from emserve.imaging_pool import ImagingPool
from emserve.jobs import PinnedModel
from emserve.settings import Settings
from emserve.tally import Event
from workers.inference.engine import Engine
from workers.models.shelf import Shelf

log = logging.getLogger(__name__)


class ModelChanged(EmserveError):
    """The weights of a job's model are others than when it was accepted."""

    slug = "model-changed"
    title = "The model is not the one that the job was accepted with"

    def __init__(self, model: PinnedModel, found: str | None) -> None:
        super().__init__(
            f"The job was accepted with {model.id} of SHA-256 {model.sha256}, and its worker has one of "
            f"{found or 'none in its card'}: the model was replaced since, or the service was upgraded while "
            "the job waited, and its starter models with it. Submit the image again to have it segmented "
            "with what is installed now."
        )


@dataclass(frozen=True)
class Bench:
    """Settings, job book, warm models, and the process that decodes images."""

    settings: Settings
    book: JobBook
    device: str
    shelf: Shelf
    imaging: ImagingPool

    @classmethod
    def open(cls, settings: Settings, book: JobBook, device: str) -> Self:
        return cls(
            settings=settings,
            book=book,
            device=device,
            shelf=Shelf(
                device,
                settings.model_memory_bytes // max(1, settings.workers),  # they share the device
                settings.precision,
                on_load=lambda card_id, seconds: _tell_load(book, card_id, seconds),
                on_eviction=lambda card_id: book.tally.add(Event.MODEL_EVICTED, card_id),
            ),
            imaging=ImagingPool(
                size=1,
                memory_bytes=settings.decode_memory_bytes,
                cpu_seconds=settings.decode_seconds,
                on_death=lambda doing: book.tally.add(Event.IMAGE_PROCESS_DIED, doing),
            ),
        )

    @property
    def catalogue(self) -> Catalogue:
        """The cards as they are on disk at this moment, so that an installed model needs no restart."""
        return Catalogue(self.settings.models, self.settings.model_pin)

    def engine(self, card: ModelCard) -> Engine:
        """The network of `card`, warm from now on. Raises ModelMissing and the errors of its weights."""
        catalogue = self.catalogue
        weights = catalogue.weights(catalogue.runnable(card.id))
        if weights is None:
            raise FileNotFoundError(card.id)  # removed in this very moment
        return Engine(self.shelf.get(card, weights), torch.device(self.device), self.settings.precision)

    def pinned(self, model: PinnedModel) -> ModelCard:
        """The card that a job was accepted with. Raises ModelMissing, UnknownModel, and ModelChanged."""
        card = self.catalogue.runnable(model.id)
        if model.sha256 is not None and card.weights_sha256 != model.sha256:
            raise ModelChanged(model, card.weights_sha256)
        return card

    def warm_up(self) -> None:
        """Loads the models of the warm list; one that cannot be loaded costs none of the others."""
        for reference in self.settings.warm_models:
            try:
                self.engine(self.catalogue.runnable(reference))
            except EmserveError as error:
                log.error(
                    "a model of the warm list cannot run", extra={"model": reference, "reason": str(error)}
                )

    def tell_speed(self, card: ModelCard, pixels: int, seconds: float) -> None:
        """Counts what a model did, for its measured speed."""
        self.book.tally.add(Event.MODEL_PIXELS, card.id, pixels)
        self.book.tally.add(Event.MODEL_SECONDS, card.id, seconds)

    def close(self) -> None:
        self.imaging.close()


def _tell_load(book: JobBook, card_id: str, seconds: float) -> None:
    book.tally.add(Event.MODEL_LOADED, card_id)
    book.tally.add(Event.MODEL_LOAD_SECONDS, card_id, seconds)
    log.info("model loaded", extra={"model": card_id, "seconds": seconds})
