"""The picture of a result."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from obstore.store import LocalStore
from PIL import Image

from tests.stored_labels import write_labels
from workers.images.preview import colours, near_borders, preview_shape, shrunk, stretched, write_preview
from workers.images.sheet import Sheet


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((256, 256), (1024, 1024)),
        ((100, 300), (300, 900)),
        ((600, 800), (600, 800)),
        ((1024, 1024), (1024, 1024)),
        ((4096, 2048), (1024, 512)),
        ((100_000, 3), (1024, 1)),
        ((1, 1), (1024, 1024)),
    ],
)
def test_its_size(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert preview_shape(shape) == expected


def sheet_of(array: NDArray[Any], folder: Path) -> Sheet:
    np.save(folder / "grey.npy", array)
    return Sheet.of_npy(folder / "grey.npy")


def test_shrinking_averages(tmp_path: Path) -> None:
    board = (np.indices((4000, 4000)).sum(axis=0) % 2 * 200).astype(np.uint8)
    with sheet_of(board, tmp_path) as grey:
        np.testing.assert_allclose(shrunk(grey, (1000, 1000)), 100, atol=1)


def test_shrinking_keeps_what_is_where(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(5001, dtype=np.float32), (4003, 1))
    with sheet_of(ramp, tmp_path) as grey:
        small = shrunk(grey, (820, 1024))
    np.testing.assert_allclose(small[400], (np.arange(1024) + 0.5) * 5001 / 1024, atol=6)


def test_numbers_that_are_none_do_not_spoil_it(tmp_path: Path) -> None:
    grey = np.ones((10, 10), np.float32)
    grey[3, 3], grey[4, 4] = np.nan, np.inf
    with sheet_of(grey, tmp_path) as sheet:
        assert np.isfinite(stretched(shrunk(sheet, (10, 10)))).all()


def test_contrast_is_stretched_and_a_flat_image_stays_grey() -> None:
    ramp = np.linspace(1000, 1100, 10_000, dtype=np.float32).reshape(100, 100)
    out = stretched(ramp)
    assert (out.min(), out.max()) == (0, 1)
    assert (stretched(np.full((5, 5), 7, np.float32)) == 0.5).all()


def test_borders_are_as_wide_as_they_should_be() -> None:
    labels = np.zeros((40, 40), np.uint32)
    labels[:, 20:] = 1
    near = near_borders(labels, 3)
    assert np.flatnonzero(near[20]).tolist() == [17, 18, 19, 20, 21, 22]


def test_labels_near_each_other_in_number_differ_in_colour() -> None:
    found = colours(np.arange(1, 2000, dtype=np.uint32))
    assert found.min() >= 0
    assert found.max() <= 1
    for distance in (1, 2, 3, 5, 8, 13, 21):
        assert np.abs(found[distance:] - found[:-distance]).max(axis=1).min() > 0.03


def test_objects_are_outlined_and_the_rest_stays_grey(store: LocalStore, tmp_path: Path) -> None:
    labels = np.zeros((600, 800), np.uint8)
    labels[100:300, 100:300] = 1
    labels[100:300, 300:500] = 2
    grey = np.random.default_rng(0).integers(0, 256, labels.shape, dtype=np.uint8)
    stored = write_labels(store, "labels.zarr", labels, None)
    with sheet_of(grey, tmp_path) as sheet:
        write_preview(sheet, stored, tmp_path / "preview.png")
    with Image.open(tmp_path / "preview.png") as picture:
        rgb = np.asarray(picture).astype(int)
    assert rgb.shape == (600, 800, 3)
    colourful = rgb.max(axis=2) - rgb.min(axis=2)
    assert (colourful[350:] == 0).all()
    assert (colourful[100:102, 110:290] > 60).all()
    assert (colourful[110:290, 298:300] > 60).all()
    one, two = rgb[200, 299], rgb[200, 300]
    assert np.abs(one - two).max() > 60
    assert 5 < colourful[150:250, 150:250].mean() < 60
