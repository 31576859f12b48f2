"""Odd images give a right answer, and tiles show no seams."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emserve.cards import ModelCard
from emserve.jobs import Stage
from emserve.params import Parameters
from tests.partition import foreground_agreement
from tests.pictures import phantom
from tests.sheets import all_labels
from workers.evaluation.overlaps import find_overlaps
from workers.inference.engine import Engine
from workers.inference.pipeline import Request2D, Segmentation, segment
from workers.inference.preprocess import ImageValues
from workers.inference.rows import ArrayRows, Workspace
from workers.inference.tiling import Cut

_SIDE = 768  # of phantoms, which several tests share


def run(
    image: NDArray[Any], starter: tuple[ModelCard, Engine], workspace: Workspace, **params: Any
) -> Segmentation:
    request = Request2D(ArrayRows(image), None, Parameters(**params), starter[0])
    return segment(request, starter[1], workspace, lambda *_: None)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (17, 33), (5, 3000), (300, 5)])
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"tile_size": 256},
        {"downsampling": 4},
        {"fine_boundaries": True, "fill_holes_in_segmentation": True},
    ],
)
def test_images_of_any_shape_get_a_label_map_of_their_shape(
    shape: tuple[int, int],
    params: dict[str, Any],
    starter: tuple[ModelCard, Engine],
    workspace: Workspace,
) -> None:
    along = np.indices(shape)[np.argmax(shape)]
    stripes = np.where(along % 40 < 20, 80, 150).astype(np.uint8)
    found = run(stripes, starter, workspace, **params, confidence_thr=0.1, center_confidence_thr=0.05)
    labels = all_labels(found.labels)
    assert labels.shape == shape
    # At these thresholds something is taken for an object even in five rows, but not in a quarter of them.
    assert len(found.objects) >= 3 or shape not in ((5, 3000), (300, 5)) or "downsampling" in params
    np.testing.assert_array_equal(found.objects.columns["area_px"], np.bincount(labels.ravel())[1:])


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_constant_image_shows_nothing(
    value: int, starter: tuple[ModelCard, Engine], workspace: Workspace
) -> None:
    found = run(np.full((200, 200), value, np.uint8), starter, workspace)
    np.testing.assert_array_equal(all_labels(found.labels), np.zeros((200, 200)))
    assert len(found.objects) == 0


@pytest.mark.parametrize(
    ("shape", "params", "tiles"),
    [
        ((512, 512), {"tile_size": 256}, 9),
        ((512, 512), {"tile_size": 256, "downsampling": 2}, 1),
        ((514, 512), {"tile_size": 256, "downsampling": 2}, 2),
        ((16, 2048), {}, 1),
        ((16, 2049), {}, 3),
        ((16, 4096), {"downsampling": 2}, 1),
        ((16, 2049), {"tile_size": 0}, 1),
    ],
)
def test_tiles_are_cut_from_what_the_network_sees_and_by_default_where_that_is_large(
    shape: tuple[int, int],
    params: dict[str, Any],
    tiles: int,
    starter: tuple[ModelCard, Engine],
    workspace: Workspace,
) -> None:
    totals: dict[Stage, int] = {}
    request = Request2D(ArrayRows(np.zeros(shape, np.uint8)), None, Parameters(**params), starter[0])
    segment(request, starter[1], workspace, lambda stage, _, total, __: totals.update({stage: total}))
    assert totals[Stage.INFER] == tiles


def test_a_value_that_is_no_number_is_refused(
    starter: tuple[ModelCard, Engine], workspace: Workspace
) -> None:
    image = np.zeros((64, 64), np.float32)
    image[3, 4] = np.nan
    with pytest.raises(ImageValues, match="row 3, column 4"):
        run(image, starter, workspace, intensity_range="percentile")


@pytest.mark.parametrize(
    "params", [{"tile_size": 256}, {"tile_size": 384}, {"tile_size": 256, "downsampling": 2}]
)
def test_an_object_across_a_tiles_border_is_one_object(
    params: dict[str, Any], starter: tuple[ModelCard, Engine], workspace: Workspace
) -> None:
    across: list[bool] = []  # whether an object has its like in the tiled map
    within: list[bool] = []
    for image in _phantoms():
        whole, objects = _segmented(image, starter, workspace, {**params, "tile_size": 0})
        tiled, _ = _segmented(image, starter, workspace, params)
        overlaps = find_overlaps(tiled, whole)
        agreement = np.zeros(len(objects["label"]))  # of each object with the one that is most like it
        np.maximum.at(agreement, overlaps.true, overlaps.iou)
        is_across = _across(objects, _borders(_SIDE, params))
        for part, which in ((across, is_across), (within, ~is_across)):
            part.extend(agreement[which] >= 0.5)
    assert len(across) >= 50
    assert np.mean(across) >= 0.95
    # The network sees less context in a tile, which costs an object here and there; borders cost none.
    assert np.mean(across) >= np.mean(within) - 0.02


def _phantoms() -> list[NDArray[Any]]:
    return [phantom(seed, side=_SIDE).image for seed in (6, 7, 8, 10, 13)]


def _segmented(
    image: NDArray[Any], starter: tuple[ModelCard, Engine], workspace: Workspace, params: dict[str, Any]
) -> tuple[NDArray[Any], dict[str, NDArray[Any]]]:
    found = run(image, starter, workspace, **{**starter[0].defaults, **params})
    return all_labels(found.labels), found.objects.columns


_Wholes = list[tuple[NDArray[Any], NDArray[Any]]]


@pytest.fixture(scope="module")
def wholes(starter: tuple[ModelCard, Engine], tmp_path_factory: pytest.TempPathFactory) -> _Wholes:
    """Images, and what becomes of them without tiles."""
    folder = tmp_path_factory.mktemp("wholes")
    return [(image, _labels(image, 0, starter, folder)) for image in _phantoms()]


@pytest.fixture(scope="module")
def larger_wholes(starter: tuple[ModelCard, Engine], tmp_path_factory: pytest.TempPathFactory) -> _Wholes:
    """The same of images that are cut into more tiles, and larger ones."""
    folder = tmp_path_factory.mktemp("larger")
    images = [phantom(seed, side=2 * _SIDE).image for seed in (11, 12)]
    return [(image, _labels(image, 0, starter, folder)) for image in images]


@pytest.mark.parametrize(("tile", "least"), [(512, 0.99), (576, 0.995), (640, 0.995)])
def test_tiles_show_no_seam(
    tile: int, least: float, wholes: _Wholes, starter: tuple[ModelCard, Engine], tmp_path: Path
) -> None:
    pairs = ((whole, _labels(image, tile, starter, tmp_path)) for image, whole in wholes)
    assert foreground_agreement(pairs) >= least


@pytest.mark.parametrize("tile", [512, 576, 640, 1024])
def test_tiles_of_a_larger_image_show_no_seam(
    tile: int, larger_wholes: _Wholes, starter: tuple[ModelCard, Engine], tmp_path: Path
) -> None:
    pairs = ((whole, _labels(image, tile, starter, tmp_path)) for image, whole in larger_wholes)
    assert foreground_agreement(pairs) >= 0.995


def _labels(
    image: NDArray[Any], tile_size: int, starter: tuple[ModelCard, Engine], folder: Path
) -> NDArray[Any]:
    with Workspace(folder) as workspace:
        found = run(image, starter, workspace, **{**starter[0].defaults, "tile_size": tile_size})
        return all_labels(found.labels)


def _borders(length: int, params: dict[str, Any]) -> list[int]:
    """Rows (and columns) of the image at which a tile begins or ends."""
    factor = params.get("downsampling", 1)
    axis = Cut(params["tile_size"], 16, 16).axis(length // factor)
    return [factor * at for at in (*axis.starts[1:], *(start + axis.size for start in axis.starts[:-1]))]


def _across(objects: dict[str, NDArray[Any]], borders: list[int]) -> NDArray[np.bool_]:
    """Which objects lie on both sides of a border."""
    across = np.zeros(len(objects["label"]), np.bool_)
    for border in borders:
        for axis in ("y", "x"):
            across |= (objects[f"bbox_{axis}0_px"] < border) & (border < objects[f"bbox_{axis}1_px"])
    return across
