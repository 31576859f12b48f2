"""What the README and the page of the API tell a user to type, typed."""

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.running_service import RunningService, environment

_ROOT = Path(__file__).parents[2]
_URL = "http://127.0.0.1:8000"
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SECONDS = 100


def _block(page: str, heading: str, language: str) -> str:
    """All code in `language` under `heading`, as one program."""
    text = (_ROOT / page).read_text()
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return "".join(code for name, code in _FENCE.findall(section) if name == language)


@pytest.fixture
def desk(tmp_path: Path, cell: bytes) -> Path:
    """A folder with an image, where curl treats an error as a failure."""
    (tmp_path / "cell.tif").write_bytes(cell)
    (tmp_path / ".curlrc").write_text("fail-with-body\nsilent\nshow-error\n")
    return tmp_path


def _run(program: list[str], code: str, desk: Path, service: RunningService) -> str:
    """Output of a program that reads `code`, the README's address replaced by the service's."""
    done = subprocess.run(
        program,
        input=code.replace(_URL, service.url),
        cwd=desk,
        env=environment(
            EMSERVE_URL=service.url,
            CURL_HOME=str(desk),
            PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        ),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _bash(code: str, desk: Path, service: RunningService) -> str:
    if shutil.which("bash") is None or shutil.which("curl") is None:
        pytest.skip("bash or curl is not installed")
    return _run(["bash", "-euo", "pipefail"], code, desk, service)


def test_the_first_curl_of_the_readme_is_answered(desk: Path, service: RunningService) -> None:
    (line,) = [
        line for line in _block("README.md", "Start it", "bash").splitlines() if line.startswith("curl")
    ]
    assert '"id":"' in _bash(line, desk, service)


def test_the_curl_lines_of_the_readme_work(desk: Path, service: RunningService) -> None:
    output = _bash(_block("README.md", "The API", "bash"), desk, service)
    assert '"status":"succeeded"' in output
    assert '"sample_id":"S-17"' in output
    labels = np.load(desk / "labels.npy")
    np.testing.assert_array_equal(tifffile.imread(desk / "cell.mitonet.labels.ome.tif"), labels)
    with (desk / "objects.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == labels.max() > 0
    with Image.open(desk / "preview.png") as preview:
        assert preview.size == (1024, 1024)


def test_the_commands_of_the_readme_work(desk: Path, service: RunningService) -> None:
    output = _bash(_block("README.md", "The command line", "bash"), desk, service)
    assert "mitonet@starter" in output
    assert tifffile.imread(desk / "labels.tif").shape == (256, 256)
    assert (desk / "objects.csv").stat().st_size > 0
    assert (desk / "preview.png").stat().st_size > 0


def test_the_python_of_the_readme_works(desk: Path, service: RunningService) -> None:
    output = _run([sys.executable, "-"], _block("README.md", "From Python", "python"), desk, service)
    assert output.startswith("(256, 256) uint8")
    assert tifffile.imread(desk / "labels.tif").shape == (256, 256)
    assert (desk / "preview.png").stat().st_size > 0


def test_the_curl_lines_of_the_api_page_work(desk: Path, service: RunningService) -> None:
    code = _block("docs/api.md", "Create a job", "bash")
    assert _bash(code, desk, service).count('"status":') == len(code.splitlines())
