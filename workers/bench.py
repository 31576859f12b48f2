"""The bench: what a warm child keeps from job to job."""

from dataclasses import dataclass
from typing import Self

import torch

from emserve.book import JobBook
from emserve.cards import Catalogue, ModelCard
from emserve.imaging_pool import ImagingPool
from emserve.settings import Settings
from emserve.tally import Event
from workers.inference.engine import Engine
from workers.models.shelf import Shelf


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
            shelf=Shelf(device, settings.model_memory_bytes, settings.precision),
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

    def warm_up(self) -> None:
        """Loads the models of the warm list."""
        for reference in self.settings.warm_models:
            self.engine(self.catalogue.runnable(reference))

    def close(self) -> None:
        self.imaging.close()
