"""From an upload to an accepted job: read the header, choose the model, check every parameter."""

import json
import logging
import re
from collections import Counter
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from emserve import storage
from emserve.cards import ModelCard
from emserve.errors import BrokerUnavailable, FieldError, InvalidRequest
from emserve.ids import made_at
from emserve.imaging import Inspect
from emserve.jobs import (
    ImageHeader,
    ImageSource,
    Job,
    JobInput,
    JobRecord,
    JobWarning,
    PinnedModel,
    Tags,
)
from emserve.logs import about, traces
from emserve.params import Parameters
from emserve.volumes import Room
from service.problems import from_validation
from service.resolution import resolve
from service.resources import Resources
from service.uploads import Received

log = logging.getLogger(__name__)

_INSPECT_SECONDS = 30.0
_FAR_INSPECT_SECONDS = 120.0  # from a bucket, each page of a stack is a request or more
_TAGS: TypeAdapter[dict[str, str]] = TypeAdapter(Tags)
_UNSAFE = re.compile(r"[^\w.()+ -]")

STARTER_WARNING = JobWarning(
    code="starter-weights",
    detail="These are starter weights, trained on generated images only: for trying the service, "
    "not for science.",
)
NO_WORKER_WARNING = JobWarning(
    code="no-worker",
    detail="No worker is running; the job is accepted and starts when one comes (`emserve worker`).",
)


def admit(resources: Resources, job_id: str, received: Received) -> Job:
    """Makes a job of a stored upload. Raises a UserError for whatever cannot run; blocks."""
    card = _card(resources, received.fields.get("model"))
    params = _parameters(received.fields.get("params"))
    tags = _tags(received.fields.get("tags"))
    header = _inspect(resources, job_id, params)
    params = resolve(params, card, header)
    if header.is_volume:
        resources.intake.check_volume(Room.of(header.shape, header.dtype, params, len(card.class_names)))
    record = JobRecord(
        id=job_id,
        model=PinnedModel.of(card),
        params=params,
        tags=tags,
        warnings=[*_warnings(resources, card), *header.warnings],
        input=_job_input(received, header),
        created_at=made_at(job_id) or datetime.now(UTC),  # by which the list is sorted
        request_id=traces().get("request_id"),
    )
    with about(job_id=job_id):
        job = resources.book.accept(record, lambda: _require_unchanged(resources, card))
        log.info("job accepted", extra={"model": record.model.id, "pixels": record.input.pixels})
    return job


def _card(resources: Resources, reference: str | None) -> ModelCard:
    if not reference:
        known = ", ".join(card.id for card in resources.catalogue.cards())
        detail = f"Say which model should run. Known models: {known}."
        raise InvalidRequest(detail, errors=[FieldError("/model", detail)])
    return resources.catalogue.runnable(reference)


def _require_unchanged(resources: Resources, card: ModelCard) -> None:
    """The image took a while, in which the model may have been removed, or somebody begun to."""
    catalogue = resources.catalogue
    if catalogue.is_leaving(card):
        detail = (
            f"{card.id} is being removed at this very moment. Submit the image with another model. If nobody "
            f"removes it, a removal was cut short, and `emserve models remove {card.id}` ends it."
        )
        raise InvalidRequest(detail, errors=[FieldError("/model", detail)])
    if catalogue.runnable(card.id) != card:
        detail = f"{card.id} was installed anew at this very moment. Submit the image again."
        raise InvalidRequest(detail, errors=[FieldError("/model", detail)])


def _parameters(text: str | None) -> Parameters:
    try:
        params = Parameters.model_validate_json(text or "{}")
    except ValidationError as error:
        if any(each["type"] == "extra_forbidden" for each in error.errors()):
            raise _unknown_parameters(error) from error
        raise from_validation(error, "params") from error
    _refuse_repetition(text or "{}", "params")
    return params


def _unknown_parameters(error: ValidationError) -> InvalidRequest:
    known = ", ".join(Parameters.model_fields)
    names = [str(each["loc"][0]) for each in error.errors() if each["type"] == "extra_forbidden"]
    detail = f"Unknown parameters: {', '.join(names)[:200]}. Known ones: {known}."
    return InvalidRequest(
        detail, errors=[FieldError.at(("params", name[:64]), "unknown") for name in names[:20]]
    )


def _tags(text: str | None) -> dict[str, str]:
    try:
        tags = _TAGS.validate_json(text or "{}")
    except ValidationError as error:
        raise from_validation(error, "tags") from error
    _refuse_repetition(text or "{}", "tags")
    return tags


def _refuse_repetition(text: str, field: str) -> None:
    """JSON does not say which of two values under one name counts (RFC 8259, section 4): none is chosen."""

    def each_once(pairs: list[tuple[str, object]]) -> None:
        counts = Counter(name for name, _ in pairs)
        repeated = [name[:64] for name, count in counts.items() if count > 1]
        if repeated:
            detail = f"{field} has {repeated[0]!r} more than once. Give it once."
            errors = [FieldError.at((field, name), "given more than once") for name in repeated[:20]]
            raise InvalidRequest(detail, errors=errors)

    json.loads(text, object_pairs_hook=each_once)


def _inspect(resources: Resources, job_id: str, params: Parameters) -> ImageHeader:
    settings = resources.settings
    is_far = storage.local_folder(resources.store) is None
    return resources.imaging.call(
        Inspect(
            storage_url=settings.storage_url,
            key=storage.input_key(job_id),
            source=ImageSource.of(params),
            max_pixels=settings.max_pixels,
            max_voxels=settings.max_voxels,
            max_pages=settings.max_pages,
        ),
        timeout_s=_FAR_INSPECT_SECONDS if is_far else _INSPECT_SECONDS,
    )


def _warnings(resources: Resources, card: ModelCard) -> list[JobWarning]:
    warnings = [STARTER_WARNING] if card.is_starter else []
    try:
        alive = bool(resources.fleet.workers())
    except BrokerUnavailable:
        alive = True  # `accept` says what is wrong
    return warnings if alive else [*warnings, NO_WORKER_WARNING]


def _job_input(received: Received, header: ImageHeader) -> JobInput:
    return JobInput(
        filename=safe_filename(received.filename),
        bytes=received.size_bytes,
        sha256=received.sha256,
        shape=header.shape,
        axes=header.axes,
        dtype=header.dtype,
        pixel_size_nm=header.pixel_size_nm,
        pixel_size_source=header.pixel_size_source,
    )


def safe_filename(given: str) -> str:
    """The last part of a path, without characters that mean something elsewhere."""
    name = _UNSAFE.sub("_", given.replace("\\", "/").rsplit("/", 1)[-1]).strip(". ")
    return name[:120] or "image"
