"""Removing a model, unless a job that was accepted still needs it."""

import contextlib
from collections.abc import Callable

from pydantic import BaseModel

from emserve import storage
from emserve.book import JobBook
from emserve.cards import ModelCard, removal_mark
from emserve.errors import BrokerUnavailable, FileRefused, JobNotFound, RecordUnreadable
from emserve.installer.errors import ModelInUse
from emserve.installer.folder import ModelFolder
from emserve.jobs import PinnedModel
from emserve.parsing import understood

Needed = Callable[[], list[str]]
"""Gives the ids of the jobs that need the model."""


def remove(folder: ModelFolder, card: ModelCard, needed: Needed) -> None:
    """Removes weights and card. Raises ModelInUse and the folder's errors."""
    with folder.changing():
        # Whoever accepts a job lists it first and then looks for this mark; here it is the other way round.
        # So one of the two sees the other, whichever comes first, and no accepted job is without its model.
        removal_mark(folder.path, card).touch()
        if ids := needed():
            raise ModelInUse(card.id, ids)
        folder.weights_file(card).unlink(missing_ok=True)
        folder.card_file(card).unlink(missing_ok=True)


def jobs_in_need(book: JobBook, card_id: str) -> list[str]:
    """Ids of the jobs that have not ended and were accepted for this model, oldest first.

    While no broker runs, every stored job is looked at. Raises StorageUnavailable."""
    try:
        known = book.live.active() if book.live.is_built else None
    except BrokerUnavailable:
        known = None
    ids = book.stored_ids() if known is None else known
    return [job_id for job_id in sorted(ids) if _needs(book, job_id, card_id)]


def _needs(book: JobBook, job_id: str, card_id: str) -> bool:
    try:
        record, end = book.record_and_end(job_id)
    except JobNotFound:  # an upload that is no job yet, or one that was deleted
        return False
    except RecordUnreadable:
        return _may_need(book, job_id, card_id)
    return end is None and record.model.id == card_id


def _may_need(book: JobBook, job_id: str, card_id: str) -> bool:
    """Of a job that cannot be read as it is, but perhaps by a newer version, or once it is mended.

    One of which nobody can tell the model cannot run, and keeps no model in the folder.
    """
    named = None
    with contextlib.suppress(FileRefused):
        if storage.exists(book.store, storage.end_key(job_id)):
            return False
        naming = understood(_Naming, storage.read(book.store, storage.record_key(job_id)) or b"")
        named = naming and naming.model.id
    if named is None:
        with contextlib.suppress(BrokerUnavailable):
            named = book.live.model(job_id)
    return named == card_id


class _Naming(BaseModel):
    """All that must be understood of a record."""

    model: PinnedModel
