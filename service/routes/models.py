"""Models: what can be asked for."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from emserve.cards import CardScore, Catalogue, ModelCard, ModelState, Norms, Source
from emserve.errors import BrokerUnavailable, UserError
from emserve.errors import UnknownModel as UnknownModelAsked
from emserve.params import Parameters
from service.deps import ResourcesDep
from service.resources import Resources

router = APIRouter(prefix="/v1/models", tags=["models"])


class ModelNotFound(UserError):
    slug = "model-not-found"
    title = "No such model"
    status = 404


class Model(BaseModel):
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
    parameters_schema: dict[str, Any]  # a JSON Schema
    """JSON Schema of the parameters that a job with this model takes."""


class ModelList(BaseModel):
    """All models, by name and version."""

    models: list[Model]


@router.get("", response_model=ModelList)
def list_models(resources: ResourcesDep) -> ModelList:
    """Every model that this server knows, installed or not."""
    loaded = _loaded(resources)
    catalogue = resources.catalogue
    return ModelList(models=[_shown(card, catalogue, loaded) for card in catalogue.cards()])


@router.get("/{reference}", response_model=Model)
def read_model(reference: str, resources: ResourcesDep) -> Model:
    """One model; a bare name is the version that a job with that name would run."""
    catalogue = resources.catalogue
    try:
        card = catalogue.find(reference)
    except UnknownModelAsked as error:
        raise ModelNotFound(str(error)) from error
    return _shown(card, catalogue, _loaded(resources))


def _loaded(resources: Resources) -> set[str]:
    try:
        return {card_id for worker in resources.fleet.workers() for card_id in worker.loaded}
    except BrokerUnavailable:
        return set()


def _shown(card: ModelCard, catalogue: Catalogue, loaded: set[str]) -> Model:
    state = ModelState.MISSING if catalogue.weights(card) is None else ModelState.AVAILABLE
    return Model(
        id=card.id,
        name=card.name,
        version=card.version,
        title=card.title,
        description=card.description,
        state=ModelState.LOADED if card.id in loaded else state,
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
        parameters_schema=_parameters_schema(card),
    )


def _parameters_schema(card: ModelCard) -> dict[str, Any]:  # a JSON Schema
    """The schema of all parameters, with the model's own defaults."""
    schema = Parameters.model_json_schema()
    for name, value in card.defaults.items():
        schema["properties"][name]["default"] = value
    return schema
