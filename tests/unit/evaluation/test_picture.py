"""The picture shows each object in the colour of its outcome, as large as it may be."""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from workers.evaluation.__main__ import main
from workers.evaluation.outcomes import Outcome
from workers.evaluation.picture import _COLOURS as COLOURS


def files(folder: Path, found: NDArray[np.uint16], truth: NDArray[np.uint16]) -> list[str]:
    for name, labels in {"found.tif": found, "truth.tif": truth}.items():
        tifffile.imwrite(folder / name, labels, photometric="minisblack")
    return [str(folder / "found.tif"), str(folder / "truth.tif"), "--picture", str(folder / "out.png")]


def picture(folder: Path) -> NDArray[np.uint8]:
    with Image.open(folder / "out.png") as image:
        return np.asarray(image)


def rows_of_outcomes() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Of 64 x 64: from row 2 a hit, from 12 a miss, from 22 a false hit, from 32 a split, from 42 a merge."""
    found, truth = np.zeros((64, 64), np.uint16), np.zeros((64, 64), np.uint16)
    truth[2:10, 4:44] = found[2:10, 4:44] = 1
    truth[12:20, 4:44] = 2
    found[22:30, 4:44] = 3
    truth[32:40, 4:44] = 4
    found[32:40, 4:22], found[32:40, 26:44] = 4, 5
    truth[42:50, 4:22], truth[42:50, 26:44] = 6, 7
    found[42:50, 4:44] = 8
    return found, truth


@pytest.mark.parametrize(
    ("row", "outcome", "is_filled", "is_outlined"),
    [
        (2, Outcome.HIT, True, True),
        (12, Outcome.MISS, False, True),
        (22, Outcome.FALSE_HIT, True, False),
        (32, Outcome.SPLIT, True, True),
        (42, Outcome.MERGE, True, True),
    ],
)
def test_each_outcome_has_its_colour(
    row: int, outcome: Outcome, is_filled: bool, is_outlined: bool, tmp_path: Path
) -> None:
    found, truth = rows_of_outcomes()
    main(files(tmp_path, found, truth))
    rgb = picture(tmp_path)
    scale = 16
    assert rgb.shape == (64 * scale + 84, 64 * scale, 3)
    colour = np.array(COLOURS[outcome])
    dark = 0.15 * 255
    inside = rgb[(row + 4) * scale, 10 * scale]
    np.testing.assert_allclose(inside, dark + (colour - dark) * 0.4 if is_filled else [dark] * 3, atol=1)
    assert (rgb[row * scale, 10 * scale] == colour).all()  # the border of the one or the other
    outlined = (
        rgb[row * scale + 2, 10 * scale] == colour
    ).all()  # only outlines of true objects are so thick
    assert outlined == is_outlined


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3000, 100), (2048, 680)),
        ((100, 3000), (68 + 84, 2048)),
        ((600, 700), (684, 700)),
        ((1, 1), (1024 + 84, 1024)),
    ],
)
def test_no_side_is_longer_than_2048(
    shape: tuple[int, int], expected: tuple[int, int], tmp_path: Path
) -> None:
    labels = np.ones(shape, np.uint16)
    main(files(tmp_path, labels, labels))
    assert picture(tmp_path).shape[:2] == expected


def stack(side: int = 600) -> NDArray[np.uint16]:
    """Five planes; an object in the first two, another in the other three, both of them in part of a row."""
    labels = np.zeros((5, side, side), np.uint16)
    labels[:2, 100:200] = 1
    labels[2:, 300:400] = 2
    return labels


@pytest.mark.parametrize(("options", "row"), [([], 350), (["--z", "0"], 150), (["--z", "4"], 350)])
@pytest.mark.parametrize("masks", [[], ["--components", "--predicted-components"]], ids=["labels", "masks"])
def test_of_a_stack_a_plane_is_shown(options: list[str], row: int, masks: list[str], tmp_path: Path) -> None:
    main([*files(tmp_path, stack(), stack()), *options, *masks])
    filled = (picture(tmp_path)[:600, 300] != 38).any(axis=1)
    assert filled[row]
    assert not filled[500 - row]


@pytest.mark.parametrize("side", [600, 64])
def test_the_image_lies_behind(side: int, tmp_path: Path) -> None:
    labels = np.zeros((5, side, side), np.uint16)
    grey = np.zeros((5, side, side), np.float32)
    grey[2, :, side // 2 :] = 7
    tifffile.imwrite(tmp_path / "grey.tif", grey, photometric="minisblack", compression="zlib")
    main([*files(tmp_path, labels, labels), "--image", str(tmp_path / "grey.tif")])
    shown = picture(tmp_path)[:-84]
    quarter = shown.shape[1] // 4
    assert (shown[:, :quarter] < 40).all()
    assert (shown[:, -quarter:] > 215).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--z", "5"], "There is no plane 5 (--z): what is compared has planes 0 to 4."),
        (
            ["--image", "small.npy"],
            "small.npy is an image of 3 x 4 and the label maps are 5 x 600 x 600: give the image that was "
            "segmented.",
        ),
        (["--image", "complex.npy"], "complex.npy holds complex64: grey values are numbers."),
    ],
)
def test_what_cannot_be_shown_says_why(
    options: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("small.npy", np.zeros((3, 4)))
    np.save("complex.npy", np.zeros((5, 600, 600), np.complex64))
    with pytest.raises(SystemExit) as ended:
        main([*files(tmp_path, stack(), stack()), *options])
    assert ended.value.code == (os.EX_USAGE if options[0] == "--z" else os.EX_DATAERR)
    assert capsys.readouterr().err == f"{message}\n"
