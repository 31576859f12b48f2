"""A service for as long as one command runs, in a folder of its own."""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from emserve.cli.programs import ProgramFailed
from emserve.extras import how_to_install
from emserve.parts import Lifeline, Part, RunningPart
from emserve.running import RunningRecord
from emserve.settings import Settings

_START_SECONDS = 180.0  # torch may have to be read from a cold disk
_STOP_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_ITS_OWN = ("EMSERVE_REDIS", "EMSERVE_STORAGE", "EMSERVE_LOG_DIR", "EMSERVE_HOST", "EMSERVE_ALLOW_ANONYMOUS")


@contextlib.contextmanager
def temporary_service(settings: Settings) -> Iterator[str]:
    """The address of a service with the models of `settings`; its jobs are gone afterwards.

    It ends with this process, however that ends. Raises ProgramFailed where it does not start."""
    with tempfile.TemporaryDirectory(prefix="emserve-") as folder:
        data_dir = Path(folder)
        variables = {name: value for name, value in settings.environment().items() if name not in _ITS_OWN}
        variables |= {"EMSERVE_DATA_DIR": folder, "EMSERVE_MODEL_DIR": str(settings.models)}
        command = (sys.executable, "-m", "emserve.cli", "up", "--port", "0", "--workers", "1")
        part = Part("up", command, variables, log_dir=data_dir)
        with contextlib.closing(Lifeline()) as lifeline:
            service = RunningPart(part.leashed(lifeline), lifeline)
            try:
                yield _await_ready(service, data_dir).url
            finally:
                service.stop(_STOP_SECONDS)


def _await_ready(service: RunningPart, data_dir: Path) -> RunningRecord:
    deadline = time.monotonic() + _START_SECONDS
    while service.is_alive and time.monotonic() < deadline:
        record = RunningRecord.read(data_dir)
        if record is not None:
            return record
        time.sleep(_LOOK_SECONDS)
    reason = service.last_words(1) or "no reason given"
    raise ProgramFailed(
        f"No service could be started for the test: {reason} If a package is missing, "
        f"{how_to_install('service', 'worker')} brings it; --url names a service that runs already."
    )
