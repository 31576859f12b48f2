"""`emserve evaluate` as a person or a script calls it."""

import json
import subprocess
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from emserve.scores import Scores
from tests.commands import run
from tests.strips import strips
from workers.evaluation.summary import evaluate


def evaluated(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return run("evaluate", *arguments)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The complaint of a command whose input was refused: one paragraph, no stack, no output."""
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.strip().splitlines()) == 1
    return done.stderr


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "truth.tif", strips((0, 10), (20, 30)))
    return tmp_path / "truth.tif"


def found(folder: Path, labels: object) -> Path:
    np.save(folder / "found.npy", labels)  # type: ignore[arg-type]  # tests save what is no label map, too
    return folder / "found.npy"


def test_scores_are_a_table_a_file_and_a_picture(truth: Path, tmp_path: Path) -> None:
    labels = strips((0, 10), (40, 45))
    json_file, picture = tmp_path / "new" / "scores.json", tmp_path / "new" / "errors.png"
    done = evaluated(
        found(tmp_path, labels), truth, "--json", json_file, "--picture", picture, "--image", truth
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["F1", "0.500", "0.500"] in rows
    assert ["PQ", "0.500"] in rows
    for row in (["Hits", "1", "1"], ["Misses", "-", "1"], ["False", "hits", "1", "-"], ["All", "2", "2"]):
        assert row in rows
    assert json.loads(json_file.read_text()) == asdict(evaluate(labels, strips((0, 10), (20, 30))))
    with Image.open(picture) as image:
        assert image.width == 1000


def test_json_on_stdout_is_alone_there(truth: Path, tmp_path: Path) -> None:
    done = evaluated(found(tmp_path, strips((0, 10))), truth, "--json", "-")
    assert Scores(**json.loads(done.stdout)).recall_50 == 0.5


def test_components_of_a_mask_are_its_objects(tmp_path: Path) -> None:
    labels = strips((0, 10), (20, 30))
    tifffile.imwrite(tmp_path / "mask.tif", np.where(labels > 0, 255, 0).astype(np.uint8))
    assert "say --components" in evaluated(found(tmp_path, labels), tmp_path / "mask.tif").stderr
    done = evaluated(found(tmp_path, labels), tmp_path / "mask.tif", "--components", "--json", "-")
    assert done.stderr == ""
    assert Scores(**json.loads(done.stdout)).f1_75 == 1


@pytest.mark.parametrize("data_type", [np.bool_, np.uint8])
def test_files_that_may_be_masks_are_named_with_what_to_say(data_type: type, tmp_path: Path) -> None:
    labels = strips((0, 10), (20, 30))
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    mask = found(tmp_path, (labels > 0).astype(data_type))
    hints = {
        option: f"{mask} holds a single object. If it is a mask, say {option}: then its parts are objects.\n"
        for option in ("--components", "--predicted-components")
    }
    assert evaluated(mask, tmp_path / "labels.tif").stderr == hints["--predicted-components"]
    assert evaluated(tmp_path / "labels.tif", mask).stderr == hints["--components"]
    assert evaluated(mask, mask).stderr == hints["--predicted-components"] + hints["--components"]
    assert evaluated(mask, mask, "--components").stderr == hints["--predicted-components"]
    assert evaluated(mask, mask, *hints).stderr == ""


def test_a_mask_of_one_part_is_told_once(tmp_path: Path) -> None:
    mask = found(tmp_path, strips((0, 10)) > 0)
    assert evaluated(mask, mask, "--components").stderr == ""
    tifffile.imwrite(tmp_path / "nothing.tif", strips())
    assert evaluated(tmp_path / "nothing.tif", mask).stderr == ""


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (np.zeros((3, 4), np.uint8), "differ in shape: the predicted one is 3 x 4 and the true one 1 x 100"),
        (np.zeros((1, 100), np.float32), "found.npy holds float32 and label maps are integers"),
        (np.full((1, 100), -2, np.int16), "found.npy holds the label -2"),
    ],
    ids=["shape", "floats", "negative"],
)
def test_what_cannot_be_compared_is_one_paragraph(
    labels: object, complaint: str, truth: Path, tmp_path: Path
) -> None:
    assert complaint in refused(evaluated(found(tmp_path, labels), truth))


def test_a_file_that_cannot_be_read_is_named(truth: Path, tmp_path: Path) -> None:
    (tmp_path / "found.tif").write_bytes(b"II*\0 and then nothing")
    complaint = refused(evaluated(tmp_path / "found.tif", truth))
    assert complaint.startswith(f"emserve: {tmp_path / 'found.tif'} is damaged")
    assert "save it again as TIFF" in complaint


def test_a_plane_that_is_not_there_is_usage(tmp_path: Path) -> None:
    stack = found(tmp_path, np.ones((20, 4, 5), np.uint8))
    done = evaluated(stack, stack, "--picture", tmp_path / "errors.png", "--z", "25")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no plane 25 (--z): what is compared has planes 0 to 19" in done.stderr


def test_an_image_of_another_shape_is_named_with_what_to_give(truth: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "grey.npy", np.zeros((7, 9), np.uint8))
    done = evaluated(truth, truth, "--picture", tmp_path / "errors.png", "--image", tmp_path / "grey.npy")
    assert "7 x 9" in refused(done)
    assert "give the image that was segmented" in done.stderr


def test_maps_of_unequal_shapes_are_told_before_the_image(truth: Path, tmp_path: Path) -> None:
    labels = found(tmp_path, np.zeros((3, 4), np.uint8))
    done = evaluated(labels, truth, "--picture", tmp_path / "errors.png", "--image", labels)
    assert "differ in shape: the predicted one is 3 x 4 and the true one 1 x 100" in refused(done)


def test_a_reader_of_many_words_is_told_with_the_file(truth: Path, tmp_path: Path) -> None:
    header = b"{" + bytes(19999)
    labels = tmp_path / "labels.npy"
    labels.write_bytes(b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header)
    complaint = refused(evaluated(labels, truth))
    assert complaint.startswith(f"emserve: {labels} is damaged")
    assert "ValueError: Header info length (20000) is large" in complaint


def test_a_picture_that_cannot_be_written_is_named(truth: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    assert "a.png: Is a directory" in refused(evaluated(truth, truth, "--picture", tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["nowhere.tif"], "'nowhere.tif' does not exist"),
        ([__file__, "--z", "1"], "--picture"),
        ([__file__, "--picture", "errors.jpg"], "name it .png"),
    ],
    ids=["missing file", "plane without picture", "picture of another kind"],
)
def test_bad_options_are_usage(options: list[str], complaint: str, truth: Path) -> None:
    done = evaluated(truth, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
