"""`emserve models test`, `list` and `show` with a real service behind them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import refused, run
from tests.exports import export, small_network
from tests.pictures import phantom, tiff
from tests.running_service import RunningService, running_service
from tests.zenodo import Zenodo, zenodo

_WEIGHTS, _IMAGES = "6861565", "15319873"


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zenodo]:
    """A small network in MitoNet's place, and an image in the place of its acceptance images."""
    path = tmp_path_factory.mktemp("publisher") / "MitoNet_v1.pth"
    export(small_network("panoptic_deeplab_pr"), "panoptic_deeplab_pr", path)
    image = tiff(phantom(side=128).image)
    with zenodo(files={_WEIGHTS: {path.name: path}, _IMAGES: {"em.tif": image, "notes.txt": b"-"}}) as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service(tmp_path_factory.mktemp("lab") / "data") as service:
        yield service


def test_a_pulled_model_is_tried_on_a_phantom_and_on_its_publishers_images(
    publisher: Zenodo, lab: RunningService, tmp_path: Path
) -> None:
    folder = ["--data-dir", str(lab.data_dir)]
    assert run("models", "pull", "mitonet", "--from", publisher.url, *folder).returncode == 0
    (tmp_path / "own.tif").write_bytes(tiff(phantom(side=96).image))
    (tmp_path / "text.tif").write_text("no image")
    tried = run(
        *("models", "test", "mitonet", "--json", "--url", lab.url, "--from", publisher.url, *folder),
        *("--image", str(tmp_path / "own.tif"), "--image", str(tmp_path / "text.tif")),
    )
    assert tried.returncode == 1, tried.stderr  # for the image that is none
    result = json.loads(tried.stdout)
    assert result["model"] == "mitonet@1"
    trials = {trial["image"]: trial for trial in result["trials"]}
    assert list(trials) == ["phantom", "own.tif", "text.tif", "em.tif"]
    assert 0 <= trials["phantom"]["f1"] <= 1
    for name in ("phantom", "own.tif", "em.tif"):
        assert trials[name]["problem"] is None
        assert len(trials[name]["largest"]) == min(10, trials[name]["objects"])
        assert trials[name]["largest"] == sorted(trials[name]["largest"], reverse=True)
    assert "TIFF" in trials["text.tif"]["problem"]
    assert "Images of record 15311513 are left out" in tried.stderr  # this publisher has no volumes


def test_the_service_is_asked_for_its_models(lab: RunningService) -> None:
    listed = run("models", "list", "--json", "--url", lab.url)
    assert {model["id"] for model in json.loads(listed.stdout)} >= {"mitonet@starter", "nucleonet@2"}
    shown = run("models", "show", "mitonet@starter", EMSERVE_URL=lab.url)
    assert "Apache-2.0" in shown.stdout
    refused(run("models", "show", "nobody", "--url", lab.url), "nobody")


def test_the_test_brings_a_service_of_its_own(tmp_path: Path) -> None:
    tried = run(
        "models",
        "test",
        "mitonet@starter",
        "--offline",
        "--data-dir",
        tmp_path / "data",
        EMSERVE_DEVICE="cpu",
    )
    assert tried.returncode == 0, tried.stderr
    (line,) = [line.split() for line in tried.stdout.splitlines() if line.startswith("phantom")]
    assert int(line[1]) > 20
    assert float(line[3]) > 0.5
    assert not (tmp_path / "data").exists()


def test_a_model_that_is_not_installed_cannot_be_tried(tmp_path: Path) -> None:
    refused(run("models", "test", "mitonet-mini", "--data-dir", tmp_path), "mitonet-mini@1 are not installed")
