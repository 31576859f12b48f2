"""`emserve models remove`: takes a model out of the folder, unless a job needs it."""

import contextlib
from functools import partial
from typing import Annotated

import typer
from rich.text import Text

from emserve.book import JobBook
from emserve.cards import Catalogue, ModelCard
from emserve.cli.consoles import stdout
from emserve.cli.models.options import DataDir, ModelDir, chosen_settings
from emserve.installer.errors import ComesAlong, JobsUnknown, NotInstalled
from emserve.installer.folder import ModelFolder
from emserve.installer.removal import jobs_in_need
from emserve.installer.removal import remove as remove_model
from emserve.settings import Settings
from emserve.storage import open_store
from emserve.tickets import connect


def remove(
    names: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="NAME@VERSION, or NAME if it has one.")
    ],
    model_dir: ModelDir = None,
    data_dir: DataDir = None,
) -> None:
    """Remove installed models. One that a queued or running job needs is kept.

    The jobs are those of the data folder, or of EMSERVE_REDIS and EMSERVE_STORAGE.
    """
    settings = chosen_settings(model_dir, data_dir)
    folder = ModelFolder(settings.models)
    for name in names:
        card = _chosen(name, folder, settings)
        _require_jobs(settings)
        remove_model(folder, card, partial(_needed, settings, card.id))
        stdout().print(Text(f"{card.id} removed"), soft_wrap=True)


def _chosen(name: str, folder: ModelFolder, settings: Settings) -> ModelCard:
    """The installed model of that id; of a bare name, the only version that is installed."""
    known = Catalogue(settings.models).cards()
    here = [card for card in known if folder.weights_file(card).exists() or folder.card_file(card).exists()]
    chosen = [card for card in here if name in {card.name, card.id}]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        versions = ", ".join(card.id for card in chosen)
        raise typer.BadParameter(f"{name} has several versions installed: say which of {versions}.")
    if any(card.is_starter and card.id == name for card in known):
        raise ComesAlong(name)
    raise NotInstalled(name, [card.id for card in here])


def _require_jobs(settings: Settings) -> None:
    """Raises JobsUnknown where the folder is that of a service somewhere else, whose data nobody named."""
    is_named = "data_dir" in settings.model_fields_set  # by the option or by EMSERVE_DATA_DIR
    if not is_named and settings.models != settings.data_dir / "models" and not _has_jobs(settings):
        raise JobsUnknown(settings.models, settings.data_dir)


def _has_jobs(settings: Settings) -> bool:
    return settings.storage is not None or (settings.data_dir / "store").is_dir()


def _needed(settings: Settings, card_id: str) -> list[str]:
    if not _has_jobs(settings):
        return []  # no service has ever run here
    with contextlib.closing(connect(settings.redis_url)) as redis:
        return jobs_in_need(JobBook(open_store(settings.storage_url), redis), card_id)
