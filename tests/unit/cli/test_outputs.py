"""Which files are written for which image."""

from pathlib import Path

import pytest
import typer

from emserve.cli.outputs import Outputs

CELL = Path("in/cell.tif")
TWO = [CELL, Path("in/axon.png")]


def test_one_image_takes_the_names_that_are_given() -> None:
    given = Outputs(labels=Path("labels.npy"), objects=Path("o.json"), preview=Path("p.png"))
    assert given.for_images([CELL]) == [given]


def test_a_folder_gets_files_named_after_the_image(tmp_path: Path) -> None:
    (files,) = Outputs(labels=tmp_path).for_images([CELL])
    assert files == Outputs(labels=tmp_path / "cell.labels.tif")


def test_several_images_go_into_folders_that_may_be_new(tmp_path: Path) -> None:
    new = tmp_path / "new"
    assert Outputs(labels=new, objects=new, preview=new).for_images(TWO) == [
        Outputs(new / "cell.labels.tif", new / "cell.objects.csv", new / "cell.preview.png"),
        Outputs(new / "axon.labels.tif", new / "axon.objects.csv", new / "axon.preview.png"),
    ]


def test_a_class_is_for_labels_and_objects_of_each_image(tmp_path: Path) -> None:
    for files in Outputs(tmp_path, tmp_path, tmp_path, "er").for_images(TWO):
        classes = [files.class_of(part) for part, _ in files.wanted()]
        assert classes == ["er", "er", None]


def test_nothing_wanted_is_nothing_written() -> None:
    assert Outputs().for_images([CELL, CELL]) == [Outputs(), Outputs()]


@pytest.mark.parametrize(
    ("wanted", "images", "words"),
    [
        (Outputs(labels=Path("labels.jpg")), [CELL], r"--out: 'labels.jpg' .*\.tif.*\.npy"),
        (Outputs(labels=Path("labels")), [CELL], "A folder that exists will do"),
        (Outputs(objects=Path("o.xls")), [CELL], r"--objects: .*\.csv"),
        (Outputs(preview=Path("p.tif")), [CELL], r"--preview: .*\.png"),
        (
            Outputs(preview=Path("p.png"), only_class="er"),
            [CELL],
            "--class says what --out or --objects saves",
        ),
        (Outputs(labels=Path("labels.tif")), TWO, "with several images it is a folder"),
        (Outputs(labels=Path("new")), [CELL, Path("other/cell.png")], "files of one name"),
    ],
)
def test_a_name_that_cannot_be_meant_is_refused(wanted: Outputs, images: list[Path], words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        wanted.for_images(images)
