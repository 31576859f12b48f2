"""Models: what can be asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter

from emserve.cards import CardScore, Catalogue, ModelCard, ModelState, Norms, Source
from emserve.errors import BrokerUnavailable, UserError
from emserve.errors import UnknownModel as UnknownModelAsked
from emserve.jobs import Frozen
from emserve.params import Parameters
from emserve.tally import Event
from service.deps import ResourcesDep
from service.resources import Resources

router = APIRouter(prefix="/v1/models", tags=["models"])


class ModelNotFound(UserError):
    slug = "model-not-found"
    title = "No such model"
    status = 404


class Residency(Frozen):
    """A worker that holds the model warm."""

    worker: str
    device: str
    bytes: int
    """Memory that its weights take there."""
    load_seconds: float
    """How long loading took, the comparison of its SHA-256 included."""


class Speed(Frozen):
    """What was measured of the jobs that ran, on whatever devices, since counting began."""

    pixels: float
    """Of the images that were inferred."""
    seconds: float
    """That the inference of them took."""
    pixels_per_second: float


class Model(Frozen):
    """A model as the API shows it."""

    id: str
    name: str
    version: str
    title: str
    description: str
    state: ModelState
    class_names: dict[int, str]
    thing_list: list[int]
    norms: Norms
    padding_factor: int
    native_pixel_size_nm: float | None
    architecture: str
    trained_on: str | None
    scores: list[CardScore]
    """On images with known objects."""
    weaknesses: str | None
    """Where it is known to fail."""
    source: Source
    licence: str
    citation: str
    sha256: str | None
    residents: list[Residency]
    """Where it is warm."""
    speed: Speed | None
    """Null until a job has run."""
    parameters_schema: dict[str, Any]  # a JSON Schema
    """JSON Schema of the parameters that a job with this model takes."""
    stack_defaults: dict[str, Any]  # values of parameters are of many types
    """Defaults of its own for volumes with `mode` stack or orthoplane, where they are others."""


class ModelList(Frozen):
    """All models, by name and version."""

    models: list[Model]


@dataclass(frozen=True)
class _Seen:
    """What the broker knows of all models; empty while it is away."""

    residencies: Mapping[str, list[Residency]]
    pixels: Mapping[str, float]
    seconds: Mapping[str, float]

    def speed(self, card_id: str) -> Speed | None:
        pixels, seconds = self.pixels.get(card_id, 0.0), self.seconds.get(card_id, 0.0)
        if seconds <= 0:
            return None
        return Speed(pixels=pixels, seconds=seconds, pixels_per_second=pixels / seconds)


@router.get("", response_model=ModelList)
def list_models(resources: ResourcesDep) -> ModelList:
    """Every model that this server knows, installed or not."""
    seen = _look(resources)
    catalogue = resources.catalogue
    return ModelList(models=[_shown(card, catalogue, seen) for card in catalogue.cards()])


@router.get("/{reference}", response_model=Model)
def read_model(reference: str, resources: ResourcesDep) -> Model:
    """One model; a bare name is the version that a job with that name would run."""
    catalogue = resources.catalogue
    try:
        card = catalogue.find(reference)
    except UnknownModelAsked as error:
        raise ModelNotFound(str(error)) from error
    return _shown(card, catalogue, _look(resources))


def _look(resources: Resources) -> _Seen:
    residencies: dict[str, list[Residency]] = {}
    try:
        workers, totals = resources.fleet.workers(), resources.book.tally.totals()
    except BrokerUnavailable:
        return _Seen({}, {}, {})
    for worker in workers:
        for resident in worker.residents:
            residency = Residency(
                worker=worker.name,
                device=worker.device,
                bytes=resident.bytes,
                load_seconds=resident.load_seconds,
            )
            residencies.setdefault(resident.id, []).append(residency)
    return _Seen(residencies, totals.get(Event.MODEL_PIXELS, {}), totals.get(Event.MODEL_SECONDS, {}))


def _shown(card: ModelCard, catalogue: Catalogue, seen: _Seen) -> Model:
    state = ModelState.MISSING if catalogue.weights(card) is None else ModelState.AVAILABLE
    residents = seen.residencies.get(card.id, [])
    return Model(
        id=card.id,
        name=card.name,
        version=card.version,
        title=card.title,
        description=card.description,
        state=ModelState.LOADED if residents else state,
        class_names=card.class_names,
        thing_list=card.thing_list,
        norms=card.norms,
        padding_factor=card.padding_factor,
        native_pixel_size_nm=card.native_pixel_size_nm,
        architecture=card.architecture,
        trained_on=card.trained_on,
        scores=card.scores,
        weaknesses=card.weaknesses,
        source=card.source,
        licence=card.licence,
        citation=card.citation,
        sha256=card.weights_sha256,
        residents=residents,
        speed=seen.speed(card.id),
        parameters_schema=_parameters_schema(card),
        stack_defaults=card.stack_defaults,
    )


def _parameters_schema(card: ModelCard) -> dict[str, Any]:  # a JSON Schema
    """The schema of all parameters, with the model's own defaults."""
    schema = Parameters.model_json_schema()
    for name, value in card.defaults.items():
        schema["properties"][name]["default"] = value
    return schema
