"""`emserve models test`, `list` and `show` with a real service behind them."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from emserve.client import Client
from tests.commands import command, refused, run
from tests.exports import export, small_network
from tests.integration.workshop import eventually, is_gone
from tests.pictures import phantom, tiff
from tests.running_service import RunningService, running_service
from tests.zenodo import Zenodo, zenodo

_TRIAL = ("models", "test", "mitonet@starter", "--offline", "--data-dir")
_WEIGHTS, _IMAGES, _VOLUMES = "6861565", "15319873", "15311513"
_IMAGE, _VOLUME = "nanotomy_islet_rat375_crop1.tif", "hela_cell_em.tif"  # as they are called there


def _stack() -> bytes:
    """A stack whose file calls its slices times, as Fiji's do when nobody tells it otherwise."""
    plane = np.random.default_rng(4).normal(147, 33, (96, 128)).clip(0, 255).astype(np.uint8)
    return tiff(np.stack([plane] * 16), imagej=True, metadata={"axes": "TYX"})


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zenodo]:
    """A small network in MitoNet's place, and small images in the place of its acceptance images."""
    path = tmp_path_factory.mktemp("publisher") / "MitoNet_v1.pth"
    export(small_network("panoptic_deeplab_pr"), "panoptic_deeplab_pr", path)
    images: dict[str, Path | bytes] = {_IMAGE: tiff(phantom(side=128).image), "notes.txt": b"-"}
    files = {_WEIGHTS: {path.name: path}, _IMAGES: images, _VOLUMES: {_VOLUME: _stack()}}
    with zenodo(files=files) as server:
        yield server


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, publisher: Zenodo) -> Iterator[RunningService]:
    """A service with MitoNet as this publisher has it."""
    with running_service(tmp_path_factory.mktemp("lab") / "data") as service:
        pull = ("models", "pull", "mitonet", "--from", publisher.url, "--data-dir", service.data_dir)
        assert run(*pull).returncode == 0
        yield service


def tried(lab: RunningService, source: str | Path, *options: str | Path) -> tuple[dict[str, Any], Any]:
    """What `emserve models test mitonet` found, by image, and the finished command."""
    where = ("--url", lab.url, "--data-dir", lab.data_dir, "--from", source)
    done = run("models", "test", "mitonet", "--json", *where, *options)
    result = json.loads(done.stdout)
    assert result["model"] == "mitonet@1"
    return {trial["image"]: trial for trial in result["trials"]}, done


def sizes_in_the_label_map(lab: RunningService, filename: str) -> list[int]:
    """Of the ten largest objects of the newest job with that file, counted in its label map."""
    with Client(lab.url) as client:
        job = next(job for job in client.jobs() if job.input.filename == filename)
        counts = np.bincount(client.labels(job.id).ravel())[1:]
    return [int(count) for count in np.sort(counts)[::-1][:10]]


def test_a_pulled_model_is_tried_on_a_phantom_and_on_its_publishers_image_and_volume(
    publisher: Zenodo, lab: RunningService, tmp_path: Path
) -> None:
    (tmp_path / "own.tif").write_bytes(tiff(phantom(side=96).image))
    (tmp_path / "text.tif").write_text("no image")
    trials, done = tried(lab, publisher.url, "--image", tmp_path)
    assert done.returncode == 1, done.stderr  # for the image that is none
    assert list(trials) == ["phantom", "own.tif", "text.tif", _IMAGE, _VOLUME]
    assert "left out" not in done.stderr
    assert 0 <= trials["phantom"]["f1"] <= 1
    assert "TIFF" in trials["text.tif"]["problem"]
    for name, measure in (("own.tif", "area_px"), (_IMAGE, "area_px"), (_VOLUME, "volume_vx")):
        trial = trials[name]
        assert trial["problem"] is None
        assert trial["measure"] == measure
        assert trial["objects"] > 0
        assert trial["largest"] == sizes_in_the_label_map(lab, name)


def test_a_volume_of_a_folder_is_tried_as_a_fetched_one_is(
    publisher: Zenodo, lab: RunningService, tmp_path: Path
) -> None:
    for number in (_IMAGES, _VOLUMES):
        (tmp_path / f"{number}.json").write_bytes(publisher.record(number))
    (tmp_path / _VOLUME).write_bytes(publisher.content(_VOLUMES, _VOLUME))
    trials, done = tried(lab, tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(trials) == ["phantom", _VOLUME]
    assert trials[_VOLUME]["largest"] == sizes_in_the_label_map(lab, _VOLUME)
    assert f"{_IMAGE} of record {_IMAGES} is left out: {tmp_path} has no {_IMAGE}" in done.stderr


def test_the_model_is_the_one_that_the_service_means(lab: RunningService, tmp_path: Path) -> None:
    there = ("--offline", "--json", "--url", lab.url, "--data-dir", tmp_path / "another")
    done = run("models", "test", "mitonet", *there)
    assert json.loads(done.stdout)["model"] == "mitonet@1"
    refused(run("models", "test", "nucleonet@2", *there), "nucleonet@2 are not installed")
    refused(run("models", "test", "nobody", *there), "nobody")


def test_the_service_is_asked_for_its_models(lab: RunningService) -> None:
    listed = run("models", "list", "--json", "--url", lab.url)
    assert {model["id"] for model in json.loads(listed.stdout)} >= {"mitonet@starter", "nucleonet@2"}
    shown = run("models", "show", "mitonet@starter", EMSERVE_URL=lab.url)
    assert "Apache-2.0" in shown.stdout
    refused(run("models", "show", "nobody", "--url", lab.url), "nobody")


def test_the_test_brings_a_service_of_its_own(tmp_path: Path) -> None:
    tried = run(*_TRIAL, tmp_path / "data", EMSERVE_DEVICE="cpu")
    assert tried.returncode == 0, tried.stderr
    (line,) = [line.split() for line in tried.stdout.splitlines() if line.startswith("phantom")]
    assert int(line[1]) > 20
    assert float(line[3]) > 0.5
    assert not (tmp_path / "data").exists()


def test_the_service_of_the_test_ends_with_its_command_however_that_ends(tmp_path: Path) -> None:
    words, environment = command(*_TRIAL, tmp_path / "data", EMSERVE_DEVICE="cpu", TMPDIR=str(tmp_path))
    family: list[psutil.Process] = []
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: _has_begun(process, tmp_path), "its service")
            process.send_signal(signal.SIGSTOP)  # so that it does not end before all are found
            family = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            eventually(lambda: all(map(is_gone, family)), "the end of every process")
        finally:
            for one in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
    assert len(family) > 4, "up, its broker, API and worker, and theirs"


def _has_begun(process: subprocess.Popen[bytes], parent: Path) -> bool:
    assert process.poll() is None
    return any(parent.glob("emserve-*/service.json"))


def test_a_model_that_is_not_installed_cannot_be_tried(tmp_path: Path) -> None:
    refused(run("models", "test", "mitonet-mini", "--data-dir", tmp_path), "mitonet-mini@1 are not installed")


def test_a_folder_that_is_named_wins_over_the_service_of_the_environment(
    lab: RunningService, tmp_path: Path
) -> None:
    there = run("models", "list", "--json", EMSERVE_URL=lab.url)
    here = run("models", "list", "--json", "--data-dir", tmp_path, EMSERVE_URL=lab.url)
    states = [
        {model["id"]: model["state"] for model in json.loads(done.stdout)}["mitonet@1"]
        for done in (there, here)
    ]
    assert states[0] in {"available", "loaded"}
    assert states[1] == "missing"
    both = run("models", "show", "mitonet", "--data-dir", tmp_path, "--url", lab.url)
    assert both.returncode == 2
    assert "give one" in both.stderr


@pytest.mark.parametrize("model", ["nucleonet", "dropnet"])
def test_the_demo_of_each_model_shows_what_it_finds(lab: RunningService, tmp_path: Path, model: str) -> None:
    done = run("demo", "--model", model, "--out", tmp_path, "--url", lab.url)
    assert done.returncode == 0, done.stderr
    assert "starter weights" in done.stderr
    (score,) = [line for line in done.stdout.splitlines() if line.startswith("F1 ")]
    assert float(score.split()[1]) > 0.5
    assert {path.name for path in tmp_path.iterdir()} == {
        "phantom.tif",
        "phantom.truth.tif",
        "phantom.labels.ome.tif",
        "phantom.objects.csv",
        "phantom.preview.png",
    }


def test_a_demo_too_large_to_make_names_the_limit(tmp_path: Path) -> None:
    done = run("demo", "--size", "100000", "--out", tmp_path / "demo")
    assert done.returncode == 2
    assert "8192" in done.stderr
    assert not (tmp_path / "demo").exists()
