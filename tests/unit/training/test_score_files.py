"""Scores on files: what counts as truth, and what a card tells of them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer

from emserve.cards import PACKAGED_CARDS, CardScore, ModelCard
from training.card_scores import record
from training.phantoms import make_volume_phantom
from training.score_files import main, parts_of_slices, truth_of


def test_the_truth_may_be_labels_a_range_of_them_or_a_mask() -> None:
    plane = np.zeros((6, 12), np.int32)
    plane[1:3, 1:3], plane[1:3, 5:7], plane[4:6, 9:12] = 1001, 2001, 2002
    np.testing.assert_array_equal(truth_of(plane, only="", components=False), plane)
    of_class_two = truth_of(plane, only="2000:3000", components=False)
    assert set(np.unique(of_class_two)) == {0, 2001, 2002}
    assert len(np.unique(truth_of(np.minimum(plane, 1), only="", components=True))) == 4


def test_a_stack_is_scored_plane_by_plane(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = np.full((2, 96, 96), 140, np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", empty)
    tifffile.imwrite(tmp_path / "truth.tif", np.zeros_like(empty))
    main("mitonet@starter", tmp_path / "image.tif", tmp_path / "truth.tif", models=tmp_path)
    rows = [line for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [row.split("│")[1].strip() for row in rows] == ["0", "1", "mean"]
    assert "1.000" in rows[-1]  # nothing is there, and nothing was found


def test_a_stack_is_scored_in_space_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = make_volume_phantom(7, (6, 128, 128), (40.0, 11.0, 11.0))
    truth = volume.truth.mitochondria
    tifffile.imwrite(tmp_path / "image.tif", volume.image)
    tifffile.imwrite(tmp_path / "truth.tif", truth)
    files = (tmp_path / "image.tif", tmp_path / "truth.tif")
    main("mitonet@starter", *files, stack=True, models=tmp_path)
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [row[1].strip() for row in rows] == ["0", "mean"]
    assert int(rows[0][-2]) == len(np.unique(truth)) - 1
    assert float(rows[0][2]) > 0  # some were found


def test_a_stack_is_scored_by_its_slices_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = make_volume_phantom(7, (5, 128, 128), (40.0, 11.0, 11.0))
    mask = volume.truth.mitochondria > 0
    tifffile.imwrite(tmp_path / "image.tif", volume.image)
    tifffile.imwrite(tmp_path / "mask.tif", mask.astype(np.uint8) * 255)
    files = (tmp_path / "image.tif", tmp_path / "mask.tif")
    main("mitonet@starter", *files, stack=True, by_slice=True, components=True, models=tmp_path)
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [row[1].strip() for row in rows] == ["0", "1", "2", "3", "4", "mean"]
    components = [len(np.unique(truth_of(plane, only="", components=True))) - 1 for plane in mask]
    assert [int(row[-2]) for row in rows[:-1]] == components
    assert float(rows[-1][2]) > 0


def test_an_image_and_a_truth_of_unequal_shapes_are_named(tmp_path: Path) -> None:
    image, truth = tmp_path / "image.tif", tmp_path / "truth.tif"
    tifffile.imwrite(image, np.zeros((3, 96, 96), np.uint8), photometric="minisblack")
    for shape in ((2, 96, 96), (3, 96, 90)):
        tifffile.imwrite(truth, np.zeros(shape, np.uint8), photometric="minisblack")
        with pytest.raises(typer.BadParameter, match=r"image\.tif is 3 x 96 x 96 and .*truth\.tif is"):
            main("mitonet@starter", image, truth, models=tmp_path)


def test_in_a_slice_each_part_of_an_object_is_an_object() -> None:
    labels = np.zeros((2, 6, 12), np.uint32)
    labels[0, 1:3, 1:5], labels[0, 1:3, 7:9] = 9, 9  # one object, in two parts here
    labels[0, 3:5, 1:5] = 4  # touches the first
    labels[1, 1:3, 1:9] = 9
    first, second = parts_of_slices(labels)
    assert len(np.unique(first[1, 1:9])) == 3
    assert len(np.unique(first)) == 4
    assert set(np.unique(second)) == {0, 1}


def test_the_parts_of_a_mask_go_through_slices() -> None:
    mask = np.zeros((3, 8, 8), np.uint8)
    mask[:, 1:3, 1:3], mask[0, 5:7, 5:7], mask[2, 5:7, 5:7] = 1, 1, 1
    parts = truth_of(mask, only="", components=True)
    assert parts.shape == mask.shape
    assert len(np.unique(parts)) == 4
    assert len(np.unique(parts[:, 1, 1])) == 1


def test_a_score_takes_the_place_of_the_older_one_on_the_same_data(tmp_path: Path) -> None:
    path = tmp_path / "card.json"
    path.write_bytes((PACKAGED_CARDS / "mitonet@starter.json").read_bytes())
    first = CardScore(data="some images", f1_50=0.5, f1_75=0.4, foreground_iou=0.6, objects=10)
    better = first.model_copy(update={"f1_50": 0.7})
    other = first.model_copy(update={"data": "other images"})
    for score in (first, other, better):
        record(path, score)
    scores = ModelCard.model_validate_json(path.read_bytes()).scores
    assert [score for score in scores if score.data == "some images"] == [better]
    assert other in scores
