"""`emserve models pull`: released models, from their publisher, a mirror or a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from emserve.cards import ModelCard
from emserve.cli.complaints import FAILED, complain
from emserve.cli.consoles import stderr, stdout, warn
from emserve.cli.models.options import DataDir, ModelDir, chosen_settings, installer
from emserve.cli.progress import download_progress
from emserve.client.address import is_local
from emserve.client.errors import ClientError
from emserve.errors import EmserveError
from emserve.installer.download import Downloader, Patience
from emserve.installer.folder import ModelFolder
from emserve.installer.installer import released_card, released_cards
from emserve.installer.publisher import ZENODO, FolderPublisher, OnlinePublisher, Publisher
from emserve.settings import Settings

From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="URL|DIR",
        help="A mirror that answers as Zenodo does, or a folder with the files. "
        "[default: EMSERVE_MODEL_MIRROR, else https://zenodo.org]",
    ),
]
Silence = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long a server may stand still.")
]


def pull(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="mitonet, nucleonet, …")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All released models.")] = False,
    source: From = None,
    timeout: Silence = Patience.silence_seconds,
    model_dir: ModelDir = None,
    data_dir: DataDir = None,
) -> None:
    """Install released models: fetch, compare checksums, convert.

    A download that was interrupted goes on where it stopped. A running service sees the models at once.
    """
    if every == bool(names):
        known = ", ".join(card.name for card in released_cards().values())
        raise typer.BadParameter(f"Say which models ({known}), or --all.")
    cards = [released_card(name) for name in names or released_cards()]
    settings = chosen_settings(model_dir, data_dir)
    failed = False
    with opened_publisher(source, settings, timeout) as publisher:
        for card in cards:
            try:
                _pull(card, publisher, ModelFolder(settings.models))
            except (EmserveError, ClientError) as error:
                complain(f"{card.id}: {error}" if len(cards) > 1 else str(error))
                failed = True
    if failed:
        raise typer.Exit(FAILED)


@contextlib.contextmanager
def opened_publisher(source: str | None, settings: Settings, silence_seconds: float) -> Iterator[Publisher]:
    """What --from, EMSERVE_MODEL_MIRROR or neither means."""
    address = source or settings.model_mirror or ZENODO
    if not address.startswith(("http://", "https://")):
        folder = Path(address)
        if not folder.is_dir():
            raise typer.BadParameter(f"--from {address} is neither a folder nor an http address.")
        yield FolderPublisher(folder)
        return
    if address.startswith("http://") and not is_local(address):
        warning = f"{address} is not encrypted: whoever is in between can send other files."
        warn(warning)
    with Downloader(Patience(silence_seconds=silence_seconds)) as downloader:
        yield OnlinePublisher(address, downloader)


def _pull(card: ModelCard, publisher: Publisher, folder: ModelFolder) -> None:
    if folder.weights_file(card).exists() and folder.card_file(card).exists():
        stdout().print(Text(f"{card.id} is installed already"), soft_wrap=True)
        return
    with download_progress(stderr(), card.id) as on_bytes:
        installed = installer(folder).pull(card, publisher, on_bytes)
    tell_installed(installed, folder)
    if installed.source.checksum is None:
        warning = (
            f"{card.id}: no record lay beside the file, so its checksum was compared with nothing and its "
            f"licence is unknown here. {ZENODO}/records/{card.source.record} has both."
        )
        warn(warning)


def tell_installed(card: ModelCard, folder: ModelFolder) -> None:
    text = (
        f"{card.id} installed in {folder.path}\n  licence  {card.licence}\n  SHA-256  {card.weights_sha256}"
    )
    stdout().print(Text(text), soft_wrap=True)
