"""What can go wrong with the model folder and on the way into it. The command line tells it, no API does."""

from collections.abc import Sequence
from pathlib import Path

from emserve.errors import EmserveError, UserError


class FolderBusy(EmserveError):
    """Another command changes the same folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"Process {holder} is installing or removing models in {folder}. Try again when it is done."
        )


class FolderUnwritable(EmserveError):
    """The model folder cannot be written to."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"The model folder {folder} cannot be written to: {reason}. Nothing was changed. Choose another "
            "with --model-dir or EMSERVE_MODEL_DIR, or run this as the user who owns it."
        )


class FolderFull(EmserveError):
    """The disk of the model folder has too little room."""

    def __init__(self, folder: Path, needed_bytes: int, free_bytes: int) -> None:
        super().__init__(
            f"The disk of {folder} has {free_bytes / 1e6:.0f} MB free and this model needs "
            f"{needed_bytes / 1e6:.0f} MB there, the download and the converted weights together. Make "
            "room, or choose another folder with --model-dir."
        )


class DiskFull(EmserveError):
    """The disk filled up in mid-work."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"The disk of {folder} is full. Nothing was installed; what was downloaded is kept, and the same "
            "command goes on with it once there is room."
        )


class ModelExists(UserError):
    """A model of that name and version is there already."""

    def __init__(self, card_id: str) -> None:
        super().__init__(
            f"There is a model {card_id} already. Choose another --name or --version, or remove it first: "
            f"emserve models remove {card_id}"
        )


class NameReserved(UserError):
    """A lab's model would be called as a released one is."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the name of a released model. Choose another --name for yours.")


class NotInstalled(UserError):
    """There is nothing of that name in the model folder."""

    def __init__(self, reference: str, installed: Sequence[str]) -> None:
        super().__init__(
            f"{reference} is not in the model folder. Installed there: {', '.join(installed) or 'none'}."
        )


class ComesAlong(UserError):
    """The model is a part of emserve."""

    def __init__(self, card_id: str) -> None:
        super().__init__(
            f"{card_id} comes with emserve and is not in the model folder, so it cannot be removed. Its bare "
            "name means a released model as soon as one is installed, or what EMSERVE_MODEL_PIN says."
        )


class NotPublished(UserError):
    """No publisher is known for what was asked for."""

    def __init__(self, reference: str, known: Sequence[str]) -> None:
        super().__init__(f"{reference!r} is no released model. Released models: {', '.join(known)}.")


class ModelInUse(UserError):
    """Jobs that have not ended need the model."""

    def __init__(self, card_id: str, job_ids: Sequence[str]) -> None:
        more = f" and {len(job_ids) - 1} more" if len(job_ids) > 1 else ""
        super().__init__(
            f"{card_id} is needed by jobs that have not ended ({job_ids[0]}{more}). Wait for them, or cancel "
            "them: emserve cancel ID"
        )


class JobsUnknown(UserError):
    """Nobody can say whether jobs need the models of a folder."""

    def __init__(self, models: Path, data_dir: Path) -> None:
        super().__init__(
            f"No service has its data in {data_dir}, so nobody can say whether a job needs a model of "
            f"{models}. Give --data-dir, too: the data folder of the service that has these models."
        )


class DownloadFailed(EmserveError):
    """A server did not give what was asked for; `str` says which, why, and what to do."""


class RecordUnusable(EmserveError):
    """A publisher's record does not say what is needed of it."""


class WrongChecksum(EmserveError):
    """A file is not the one that its record names."""

    def __init__(self, name: str, expected: str, found: str) -> None:
        super().__init__(
            f"{name} has the checksum {found}, and its record says {expected}. It was damaged on its way "
            "or is another file. Nothing was installed; fetch it again."
        )


class FileChanged(EmserveError):
    """A publisher's file is another one than at its first pull."""

    def __init__(self, name: str, expected: str, found: str, ledger: Path) -> None:
        super().__init__(
            f"{name} has the SHA-256 {found}, and when it was first pulled here it was {expected}. "
            "Whoever sends it now may not be its publisher. Nothing was installed. If you trust the new "
            f"file, remove what {ledger} says of it."
        )


class ConfigInvalid(UserError):
    """A model's configuration lacks something or contradicts itself."""

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        super().__init__(f"{name} does not describe a model: {'; '.join(faults)}.")
