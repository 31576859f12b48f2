"""`emserve models import`: a lab's own files, whole ones and others."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emserve.cards import Catalogue
from emserve.errors import UserError
from emserve.installer.errors import ConfigInvalid
from emserve.installer.exported_config import ExportedConfig
from emserve.installer.folder import ModelFolder
from tests.commands import refused, run
from tests.exports import export, save_scripted, small_network, write_config
from tests.lab import install
from workers.inference.engine import Engine
from workers.models.fold import fold
from workers.models.weights import load_card

_MANY: dict[str, Any] = {"class_names": {1: "mito", 2: "er"}, "labels": [1, 2], "thing_list": [1]}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with two classes, as empanada exports it."""
    path = tmp_path_factory.mktemp("lab") / "ours.pth"
    return export(small_network("panoptic_deeplab_pr", 3), "panoptic_deeplab_pr", path)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def bring(models: Path, file: Path, config: Path, *options: str) -> Any:  # a finished process
    return run("models", "import", file, config, "--name", "ours", "--model-dir", models, *options)


def test_a_model_of_several_classes_is_installed_and_gives_what_it_gave(
    archive: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(archive.with_suffix(".yaml"), **_MANY, padding_factor=32)
    done = bring(models, archive, config, "--licence", "CC0-1.0", "--pixel-size", "8")
    assert done.returncode == 0, done.stderr
    catalogue = Catalogue(models)
    card = catalogue.runnable("ours")
    assert card.id == "ours@1"
    assert card.class_names == {1: "mito", 2: "er"}
    assert (card.thing_list, card.padding_factor, card.native_pixel_size_nm) == ([1], 32, 8)
    assert (card.licence, card.source.file) == ("CC0-1.0", "ours.pth")
    weights = catalogue.weights(card)
    assert weights is not None
    image = np.random.default_rng(1).standard_normal((1, 128, 128)).astype(np.float32)
    ours = Engine(load_card(card, weights)).predict(image)
    theirs = Engine(fold(small_network("panoptic_deeplab_pr", 3))).predict(image)
    assert ours.render(0, 128).shape == (1, 3, 128, 128)
    np.testing.assert_allclose(ours.offsets, theirs.offsets, atol=1e-3 * theirs.offsets.std())

    refused(bring(models, archive, config), "There is a model ours@1 already", "emserve models remove ours@1")
    shown = run("models", "show", "ours", "--json", "--model-dir", models)
    assert json.loads(shown.stdout)["source"]["sha256"]
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    changed = run("models", "verify", "--model-dir", models)
    assert changed.returncode == 1
    assert "CHANGED" in changed.stdout
    monkeypatch.chdir(models.parent)  # where this stands may be a `data`, of whoever ran the service
    refused(
        run("models", "remove", "ours@1", "--model-dir", models), "whether a job needs a model", "--data-dir"
    )
    removal = run("models", "remove", "ours@1", "--model-dir", models, "--data-dir", models.parent)
    assert removal.stdout == "ours@1 removed\n"
    assert not list(models.glob("[!.]*"))
    refused(run("models", "remove", "ours@1", "--model-dir", models), "ours@1 is not in the model folder")
    refused(run("models", "remove", "mitonet@starter", "--model-dir", models), "comes with emserve")


def _truncated(archive: Path, out: Path) -> None:
    out.write_bytes(archive.read_bytes()[:100_000])


def _corrupt(archive: Path, out: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    out.write_bytes(content)


def _bomb(_: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("ours/data.pkl", b"")
        file.writestr("ours/data/0", bytes(10_000_000))


def _of_another_network(_: Path, out: Path) -> None:
    save_scripted({"classifier.weight": torch.zeros(3, 3)}, out)


def _importing_os(_: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("ours/constants.pkl", b"")
        words = f"touch {out}.was-run".encode()
        call = b"cos\nsystem\nX" + len(words).to_bytes(4, "little") + words + b"\x85R."
        file.writestr("ours/data.pkl", b"\x80\x02" + call)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_truncated, "truncated or damaged"),
        (_corrupt, "is damaged at"),
        (_bomb, "bomb"),
        (_of_another_network, "no network that emserve knows"),
    ],
    ids=["truncated", "corrupt", "bomb", "another network"],
)
def test_a_file_that_is_refused_leaves_nothing_behind(
    make: Callable[[Path, Path], None], words: str, archive: Path, models: Path, tmp_path: Path
) -> None:
    make(archive, tmp_path / "small.pth")
    write_config(tmp_path / "small.yaml")
    with pytest.raises(UserError, match=words) as caught:
        install(models, "ours", tmp_path / "small.pth")
    assert "small.pth" in str(caught.value) or "tensors" in str(caught.value)
    assert [path.name for path in models.iterdir()] == [".lock"]


def test_the_reason_of_the_process_that_reads_the_file_is_the_commands(models: Path, tmp_path: Path) -> None:
    _importing_os(tmp_path, tmp_path / "bad.pth")
    done = bring(models, tmp_path / "bad.pth", write_config(tmp_path / "ours.yaml"))
    refused(done, "bad.pth cannot be trusted", "would import os.system", "Nothing of it was run")
    assert not list(tmp_path.glob("*.was-run"))
    assert [path.name for path in models.iterdir()] == [".lock"]


def test_a_yaml_of_other_classes_than_the_network_has_is_refused(
    archive: Path, models: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copy(archive, tmp_path / "ours.pth"))
    write_config(source.with_suffix(".yaml"))
    with pytest.raises(ConfigInvalid, match=r"ours\.yaml .*this one has 3"):
        install(models, "ours", source)
    assert [path.name for path in models.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("file", "config", "words"),
    [
        ("none.pth", "ours.yaml", "none.pth"),
        ("ours.pth", "none.yaml", "none.yaml"),
        (".", "ours.yaml", "FILE"),
    ],
)
def test_files_that_are_not_there_are_usage(
    file: str, config: str, words: str, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "ours.pth").write_bytes(b"")
    write_config(tmp_path / "ours.yaml")
    done = bring(models, tmp_path / file, tmp_path / config)
    assert done.returncode == 2
    assert words in done.stderr
    assert not models.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norms": None, "padding_factor": None}, "norms is missing; padding_factor is missing"),
        ({"labels": [1, 2]}, "class_names name [1], labels are [1, 2]"),
    ],
    ids=["missing", "contradictory"],
)
def test_a_yaml_with_faults_is_refused_before_the_file_is_read(
    changes: dict[str, Any], words: str, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "ours.pth").write_bytes(b"no archive")
    refused(bring(models, tmp_path / "ours.pth", write_config(tmp_path / "ours.yaml", **changes)), words)
    assert not models.exists()


def test_a_folder_where_nothing_can_be_installed_is_told_as_by_pull(models: Path, tmp_path: Path) -> None:
    files = (tmp_path / "ours.pth", write_config(tmp_path / "ours.yaml"))
    files[0].write_bytes(b"no archive")
    (tmp_path / "file").write_text("")
    refused(
        bring(tmp_path / "file" / "models", *files), "cannot be written to: Not a directory", "--model-dir"
    )
    with ModelFolder(models).changing():
        refused(bring(models, *files), f"Process {os.getpid()} is installing")
    assert [path.name for path in models.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--name", "Ours"], "small letters"),
        (["--version", "starter"], "--version"),
        (["--version", "a/b"], "dots"),
    ],
)
def test_names_that_no_job_could_say_are_usage(
    options: list[str], words: str, archive: Path, models: Path, tmp_path: Path
) -> None:
    done = bring(models, archive, write_config(tmp_path / "ours.yaml"), *options)
    assert done.returncode == 2
    assert words in done.stderr
    assert not models.exists()


def test_the_name_of_a_released_model_is_taken(archive: Path, models: Path, tmp_path: Path) -> None:
    done = bring(models, archive, write_config(tmp_path / "ours.yaml"), "--name", "mitonet")
    refused(done, "mitonet is the name of a released model", "--name")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"norms": None}, "norms is missing"),
        ({"norms": None, "labels": None}, "labels is missing; norms is missing"),
        ({"norms": {"mean": 0.5}}, "norms.std is missing"),
        ({"norms": {"mean": 146.8, "std": 32.5}}, "norms.mean: Input should be less than or equal to 1"),
        ({"norms": {"mean": 0.5, "std": 0}}, "norms.std"),
        ({"norms": {"mean": float("nan"), "std": 0.1}}, "norms.mean"),
        ({"padding_factor": 0}, "padding_factor"),
        ({"labels": [1, 3]}, "labels are [1, 3], and must be 1 to n"),
        ({"labels": []}, "labels are []"),
        ({"labels": [1, 2]}, "class_names name [1], labels are [1, 2]"),
        ({"thing_list": [2]}, "thing_list has [2]"),
        ({"class_names": {1: " "}}, "empty name"),
        ({**_MANY, "class_names": {1: "mito", 2: "mito"}}, "the same name"),
        ({"class_names": ["mito"]}, "class_names"),
    ],
)
def test_a_yaml_that_lacks_something_or_contradicts_itself_is_refused_with_all_faults(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        ExportedConfig.read(write_config(tmp_path / "ours.yaml", **changes))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        "a: [",
        "a: !!python/object/apply:os.system ['true']",
        "\x00",
        "- " * 3000,
        "a: 1\n" * 300_000,
    ],
    ids=["empty", "list", "open", "code", "binary", "deep", "huge"],
)
def test_what_is_no_yaml_of_a_model_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigInvalid, match=r"bad\.yaml does not describe a model"):
        ExportedConfig.read(tmp_path / "bad.yaml")


def test_norms_of_one_channel_may_be_lists(tmp_path: Path) -> None:
    config = ExportedConfig.read(write_config(tmp_path / "a.yaml", norms={"mean": [0.5], "std": [0.1]}))
    assert (config.norms.mean, config.norms.std) == (0.5, 0.1)
