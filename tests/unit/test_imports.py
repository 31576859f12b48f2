"""What a process loads when it starts: torch and the web framework only where they are needed."""

import json
import subprocess
import sys

import pytest

_HEAVY = ("torch", "fastapi", "starlette", "uvicorn")
_IMAGES = ("tifffile", "PIL", "zarr", "scipy")


def _loaded_by(module: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after importing `module`."""
    program = f"import json, sys, {module}; print(json.dumps([n for n in sys.modules if '.' not in n]))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    return set(json.loads(answer.stdout))


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("service.app", ("torch", "workers", "training", *_IMAGES)),
        ("service.__main__", ("torch", "workers", "training", *_IMAGES)),
        ("emserve.cli", (*_HEAVY, *_IMAGES, "workers", "service", "training")),
        ("emserve.client", (*_HEAVY, *_IMAGES, "workers", "service", "training")),
        ("emserve.book, emserve.reconciler, emserve.broker", (*_HEAVY, "workers", "service", "training")),
        ("workers.main", (*_HEAVY, *_IMAGES, "service", "training")),
        ("workers.images.__main__", (*_HEAVY, "service", "training")),
        ("workers.evaluation.__main__", (*_HEAVY, "cc3d", "fastremap", "service", "training")),
        ("workers.child", ("fastapi", "starlette", "uvicorn", "service", "training")),
    ],
)
def test_a_process_does_not_load_what_it_has_no_use_for(module: str, forbidden: tuple[str, ...]) -> None:
    assert _loaded_by(module).isdisjoint(forbidden)


def test_the_look_at_loaded_modules_would_see_torch() -> None:
    assert "torch" in _loaded_by("workers.child")
