"""How files of tests are spread over processes: what shares a service stays together, what is long begins."""

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

_ACCEPTANCE = "tests/acceptance"
WITH_THEIR_OWN = {"connections", "hostile_files", "limits", "precision"}
"""Acceptance tests that start services of their own."""
TRYING = {"broken_uploads", "cancelling", "contract", "deleting", "volumes"}
"""Those that try a service hard share one; all others share another, so that two processes have half each."""
_INTEGRATION = "tests/integration"
ON_ONE_SERVICE = {
    "broker_loss",
    "metrics",
    "missing_files",
    "pairing",
    "slow_renderings",
    "two_apis",
    "up",
    "up_refusals",
}
WITH_ONE_WORKER = {"cancel", "clocks", "delete", "foreign_tickets", "lost_children", "models", "warmth"}
LONG = (
    "tests/unit/inference/volume/test_stack.py",
    "tests/unit/models/test_released.py",
    "tests/unit/models/test_goldens.py",
    "tests/unit/cli/test_models_pull.py",
    "tests/unit/training/test_training.py",
    "tests/unit/test_benchmarks.py",
    "tests/integration/test_volumes.py",
    "tests/integration/test_lost_workers.py",
    "tests/acceptance/test_hostile_files.py",
)
"""More than half a minute each; one that began last would be waited for alone."""


class ByNeed(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Hands the files to the next free process in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return company(nodeid.partition("::")[0])


def company(file: str) -> str:
    """What a file of tests runs together with, in one process: files that share a service; else itself."""
    path = PurePosixPath(file)
    folder, name = str(path.parent), path.stem.removeprefix("test_")
    if folder == _ACCEPTANCE and name not in WITH_THEIR_OWN:
        return "the tried service" if name in TRYING else "the acceptance tests' service"
    if folder == _INTEGRATION and name in ON_ONE_SERVICE:
        return "the integration tests' service"
    if folder == _INTEGRATION and name in WITH_ONE_WORKER:
        return "the integration tests' worker"
    return file


def rank(file: str) -> int:
    """Companies first, then long files, then the others."""
    if company(file) != file:
        return 0
    return 1 + (LONG.index(file) if file in LONG else len(LONG))
