"""The pages name what there is: routes, parameters, measures, make targets, files that links lead to."""

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from emserve.cards import Catalogue
from emserve.cli.command_group import ENTRIES
from emserve.installer.installer import released_cards
from emserve.jobs import Job
from emserve.params import Parameters
from emserve.scores import Scores
from service.measures import ObjectMeasures
from tests.sheets import merged_of
from tests.volumes import labelled
from training.stacks import ArrayVolume
from workers.inference.measure import Scene, measure
from workers.inference.rows import ArrayRows, Workspace
from workers.inference.volume.measures import measure_volume
from workers.inference.volume.request import Request3D

_ROOT = Path(__file__).parents[2]
_PAGES = sorted([*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_IDS = [str(page.relative_to(_ROOT)) for page in _PAGES]


@pytest.fixture(scope="module")
def api() -> str:
    return (_ROOT / "docs" / "api.md").read_text()


def _blocks(page: Path, language: str) -> list[str]:
    return [code for name, code in _FENCE.findall(page.read_text()) if name == language]


def _anchor(heading: str) -> str:
    """The anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _fault(page: Path, link: str) -> str | None:
    """Why a link within the repository leads nowhere."""
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"{link}: no such file"
    if anchor and anchor not in {_anchor(each) for each in _HEADING.findall(target.read_text())}:
        return f"{link}: no such heading"
    return None


def test_every_route_is_explained(api: str) -> None:
    paths = json.loads((_ROOT / "openapi" / "openapi.json").read_text())["paths"]
    routes = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert [route for route in routes if f"`{route}`" not in api] == []


def test_every_parameter_is_explained_with_its_default(api: str) -> None:
    table = api.split("## The parameters")[1].split("\n## ")[0]
    defaults = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", table, re.MULTILINE))
    assert defaults.keys() == Parameters.model_fields.keys()
    for name, field in Parameters.model_fields.items():
        if field.default is not None:
            assert json.loads(defaults[name].strip("`")) == field.default, name


def test_every_measure_is_explained(api: str, workspace: Workspace) -> None:
    labels = np.ones((3, 3), np.uint32)
    scene = Scene(ArrayRows(labels), (1.0, 1.0), {1: "mito"}, np.ones(2, np.float32))
    names = list(measure(merged_of(workspace, labels), scene))
    assert [name for name in names if f"`{name}`" not in api] == []
    assert set(names) <= ObjectMeasures.model_fields.keys()


def test_every_measure_of_a_volume_is_explained(api: str, workspace: Workspace) -> None:
    labels = np.ones((2, 3, 3), np.uint32)
    card = Catalogue(Path()).find("mitonet@starter")
    params = Parameters(mode="stack")
    request = Request3D(ArrayVolume(labels.astype(np.uint8)), (1.0, 1.0, 1.0), params, card, "")
    table = measure_volume(labelled(labels, workspace), request, lambda: None)
    assert [name for name in table if f"`{name}`" not in api] == []
    assert set(table) <= ObjectMeasures.model_fields.keys()


def test_every_field_of_a_job_is_explained(api: str) -> None:
    assert [name for name in Job.model_fields if f"`{name}`" not in api] == []


def test_every_score_is_explained() -> None:
    text = (_ROOT / "docs" / "evaluation.md").read_text()
    assert [field.name for field in fields(Scores) if f"`{field.name}`" not in text] == []


def test_the_options_of_evaluate_are_those_that_are_explained() -> None:
    text = (_ROOT / "docs" / "evaluation.md").read_text()
    (entry,) = (each for each in ENTRIES if each.name == "evaluate")
    options = {name for parameter in entry.load().params for name in parameter.opts if name.startswith("--")}
    assert set(re.findall(r"^\| `(--[a-z-]+)", text, re.MULTILINE)) == options


def test_every_command_and_every_released_model_is_on_the_page_of_models() -> None:
    text = (_ROOT / "docs" / "models.md").read_text()
    (entry,) = (each for each in ENTRIES if each.name == "models")
    assert [name for name in entry.load().commands if f"`emserve models {name}" not in text] == []
    for card in released_cards().values():
        assert f"| `{card.name}` | `{card.id}` |" in text
        assert f"https://zenodo.org/records/{card.source.record}" in text


def test_every_warning_is_explained() -> None:
    parts = ("emserve", "service", "workers")
    code = "\n".join(path.read_text() for part in parts for path in (_ROOT / part).rglob("*.py"))
    codes = set(re.findall(r"code=\"([a-z-]+)\"", code))
    assert len(codes) >= 7
    text = (_ROOT / "docs" / "api.md").read_text()
    assert {each for each in codes if f"`{each}`" not in text} == set()


@pytest.mark.parametrize("page", _PAGES, ids=_IDS)
def test_every_make_target_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z]+)", page.read_text(), re.MULTILINE)) - targets == set()


def test_every_make_target_is_explained() -> None:
    (names,) = re.findall(r"^\.PHONY: (.+)$", (_ROOT / "Makefile").read_text(), re.MULTILINE)
    text = (_ROOT / "docs" / "development.md").read_text()
    assert [name for name in names.split() if f"`make {name}`" not in text] == []


@pytest.mark.parametrize("page", ["parity.md", "reliability.md", "security.md"])
def test_the_tests_that_a_page_names_exist(page: str) -> None:
    code = "\n".join(path.read_text() for path in (_ROOT / "tests").rglob("test_*.py"))
    there = {*re.findall(r"^ *def (test_\w+)", code, re.MULTILINE)}
    there |= {path.name for path in (_ROOT / "tests").rglob("test_*.py")}
    named = re.findall(r"`(test_[\w.]+)[`\[]", (_ROOT / "docs" / page).read_text())
    assert named
    assert [name for name in named if name not in there] == []


@pytest.mark.parametrize("page", _PAGES, ids=_IDS)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if not re.match(r"[a-z]+:", link)]
    assert [fault for link in links if (fault := _fault(page, link))] == []


@pytest.mark.parametrize("page", _PAGES, ids=_IDS)
def test_python_in_the_pages_compiles(page: Path) -> None:
    for number, code in enumerate(_blocks(page, "python")):
        compile(code, f"{page.name}[{number}]", "exec")


def test_the_files_that_architecture_names_exist() -> None:
    text = (_ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(r"`((?:emserve|service|workers)/[\w/]+\.py)`", text)
    assert named
    assert [path for path in named if not (_ROOT / path).is_file()] == []


def test_the_script_of_the_picture_puts_both_side_by_side(tmp_path: Path) -> None:
    Image.new("L", (100, 100), 50).save(tmp_path / "phantom.tif")
    Image.new("RGB", (200, 200), (200, 0, 0)).save(tmp_path / "phantom.preview.png")
    script = _ROOT / "docs" / "images" / "make_demo.py"
    subprocess.run([sys.executable, script, tmp_path, tmp_path / "demo.png"], check=True, timeout=60)
    with Image.open(tmp_path / "demo.png") as picture:
        rgb = picture.convert("RGB")
    assert rgb.size == (1032, 512)
    assert [rgb.getpixel((x, 256)) for x in (100, 516, 900)] == [(50, 50, 50), (255, 255, 255), (200, 0, 0)]


def test_the_picture_of_the_readme_is_small() -> None:
    assert (_ROOT / "docs" / "images" / "demo.png").stat().st_size < 1_000_000
