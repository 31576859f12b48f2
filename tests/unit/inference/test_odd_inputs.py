"""Odd images, odd parameters and networks gone mad: a right answer or a clear refusal, never a crash."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from obstore.store import MemoryStore

from emserve.cards import Catalogue, ModelCard
from emserve.params import Parameters
from tests.pictures import phantom
from tests.sheets import all_labels, sheet_of
from tests.stored_labels import write_labels
from workers.images.label_map import open_labels
from workers.inference.centres import find_centres
from workers.inference.engine import Engine
from workers.inference.grouping import Grouping
from workers.inference.maps import Maps
from workers.inference.measure import ObjectTable, Scene, measure
from workers.inference.merge import Labels, harden
from workers.inference.pipeline import Request2D, Segmentation, find_objects, segment
from workers.inference.preprocess import IntensityRange, choose_levels, look, normalise
from workers.inference.rows import ArrayRows, Workspace
from workers.models.weights import load_card

MAX_SIDE = 300


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return Catalogue(Path("no such folder")).runnable("mitonet@starter")


@pytest.fixture(scope="module")
def engine(card: ModelCard) -> Engine:
    weights = Catalogue(Path("no such folder")).weights(card)
    assert weights is not None
    return Engine(load_card(card, weights))


def check(labels: Labels, objects: ObjectTable, shape: tuple[int, ...]) -> None:
    """Labels run from 1 without gaps, and the table tells of the label map's pixels."""
    assert labels.shape == shape
    areas = np.bincount(labels.ravel(), minlength=1)[1:]
    columns = objects.columns
    np.testing.assert_array_equal(columns["label"], np.arange(1, len(areas) + 1))
    np.testing.assert_array_equal(columns["area_px"], areas)
    assert (areas > 0).all()
    for row, label in enumerate(columns["label"]):
        y, x = np.nonzero(labels == label)
        box = [int(columns[f"bbox_{side}_px"][row]) for side in ("y0", "x0", "y1", "x1")]
        assert box == [y.min(), x.min(), y.max() + 1, x.max() + 1]
        assert columns["centroid_y_px"][row] == pytest.approx(y.mean())
        assert columns["centroid_x_px"][row] == pytest.approx(x.mean())
    assert (columns["feret_min_px"] <= columns["feret_max_px"] + 1e-9).all()
    assert (columns["grey_sd"] >= 0).all()


# ---- whole images -----------------------------------------------------------------------------------

GREY = phantom(seed=9, side=MAX_SIDE).image
IMAGES: dict[str, NDArray[Any]] = {
    "uint8": GREY,
    "uint16": GREY.astype(np.uint16) * 257,
    "int16": GREY.astype(np.int16) * 128,
    "float32": GREY.astype(np.float32) / 255 - 0.5,
    "bool": np.median(GREY) < GREY,
}


@st.composite
def sides(draw: st.DrawFn) -> tuple[int, int]:
    """Height and width of an image: most small, some long and thin, some larger than a tile."""
    one, other = st.integers(1, 96), st.sampled_from([1, 2, 3, 255, 256, 257, MAX_SIDE])
    return draw(st.tuples(st.one_of(one, other), one) | st.tuples(one, st.one_of(one, other)))


@st.composite
def pictures(draw: st.DrawFn) -> tuple[NDArray[Any], dict[str, Any]]:
    """An image and the `intensity_range` that fits its data type."""
    dtype, (height, width) = draw(st.sampled_from(sorted(IMAGES))), draw(sides())
    y0, x0 = draw(st.integers(0, MAX_SIDE - height)), draw(st.integers(0, MAX_SIDE - width))
    image = IMAGES[dtype][y0 : y0 + height, x0 : x0 + width]
    ranges: list[Any] = ["percentile", (-0.5, 0.25)] if dtype == "float32" else ["dtype", "percentile"]
    return image, {"intensity_range": draw(st.sampled_from(ranges))}


choices = st.fixed_dictionaries(
    {
        "downsampling": st.sampled_from([1, 2, 4, 16, 64]),
        "fine_boundaries": st.booleans(),
        "semantic_only": st.booleans(),
        "tile_size": st.sampled_from(["auto", 0, 256]),
        "fill_holes_in_segmentation": st.booleans(),
        "min_size": st.sampled_from([0, 1, 30, 10**9]),
        "min_extent": st.sampled_from([0, 1, 5]),
        "min_distance_object_centers": st.sampled_from([1, 3, 4, 35]),
        "invert": st.booleans(),
    }
)


def run(
    image: NDArray[Any], params: dict[str, Any], card: ModelCard, engine: Engine, workspace: Workspace
) -> Segmentation:
    request = Request2D(ArrayRows(image), (8.0, 9.0), Parameters(**params), card)
    return segment(request, engine, workspace, lambda *_: None)


@settings(max_examples=40, deadline=None)
@given(pictures(), choices)
def test_every_image_gives_labels_and_a_table_that_fit_each_other(
    card: ModelCard, engine: Engine, picture: tuple[NDArray[Any], dict[str, Any]], params: dict[str, Any]
) -> None:
    image, levels = picture
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        found = run(image, params | levels, card, engine, workspace)
        labels = all_labels(found.labels)
    check(labels, found.objects, image.shape)
    if not params["semantic_only"]:
        assert (found.objects.columns["area_px"] >= params["min_size"]).all()


@settings(max_examples=8, deadline=None)
@given(st.sampled_from(sorted(IMAGES)), st.booleans(), st.sampled_from([1, 2]))
def test_the_size_of_bands_makes_no_difference(
    card: ModelCard, engine: Engine, dtype: str, fine_boundaries: bool, downsampling: int
) -> None:
    image = IMAGES[dtype][:200, :170]
    params = {
        "intensity_range": "percentile",
        "fill_holes_in_segmentation": True,
        "fine_boundaries": fine_boundaries,
        "downsampling": downsampling,
    }
    found = []
    for band_pixels in (1 << 22, 170 * 16):
        with (
            TemporaryDirectory() as folder,
            Workspace(Path(folder)) as workspace,
            pytest.MonkeyPatch.context() as patch,
        ):
            for name in ("merge.BAND_PIXELS", "centres._BAND_PIXELS", "preprocess._BAND_PIXELS"):
                patch.setattr(f"workers.inference.{name}", band_pixels)
            result = run(image, params, card, engine, workspace)
            found.append((all_labels(result.labels), result.objects))
    (labels, objects), (same_labels, same_objects) = found
    assert labels.max() > 0
    np.testing.assert_array_equal(labels, same_labels)
    for name in objects:
        if objects.columns[name].dtype.kind == "f":
            np.testing.assert_allclose(objects.columns[name], same_objects.columns[name], rtol=1e-9)
        else:
            np.testing.assert_array_equal(objects.columns[name], same_objects.columns[name])


@pytest.mark.parametrize("shape", [(1, 100_000), (100_000, 1)])
def test_a_line_of_pixels_is_segmented(
    shape: tuple[int, int], card: ModelCard, engine: Engine, workspace: Workspace
) -> None:
    image = np.resize(GREY, shape)
    found = run(image, {"downsampling": 4, "tile_size": 4096}, card, engine, workspace)
    check(all_labels(found.labels), found.objects, shape)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "uint16", "int16", "float32"]))
def test_inverting_twice_gives_the_grey_values_back(seed: int, dtype: str) -> None:
    """What is bright becomes as dark, so that the complement, inverted, is the image itself."""
    low, high = (-1000, 3000) if dtype in ("int16", "float32") else (0, 256)
    image = np.random.default_rng(seed).integers(low, high, (7, 9)).astype(dtype)
    complement = (low + high - 1 - image.astype(np.float64)).astype(dtype)
    norms = Catalogue(Path("no such folder")).runnable("mitonet@starter").norms
    values = look(ArrayRows(image))
    plain = normalise(image, norms, choose_levels(image.dtype, values, (low, high - 1), invert=False))
    twice = normalise(complement, norms, choose_levels(image.dtype, values, (low, high - 1), invert=True))
    np.testing.assert_allclose(twice, plain, atol=2e-4)


EXTREMES = [(0, 5e-324), (0, 1e-45), (-1e308, 1e308), (1e39, 2e39), (1e8, 1e8 + 1), "percentile"]


@pytest.mark.parametrize("intensity_range", EXTREMES)
@pytest.mark.parametrize("scale", [1e-45, 1e-38, 1.0, 3e38])
@pytest.mark.parametrize("invert", [False, True])
def test_extreme_grey_values_reach_the_network_as_finite_ones(
    intensity_range: IntensityRange, scale: float, invert: bool, card: ModelCard
) -> None:
    image = (np.linspace(-1, 1, 600).reshape(20, 30) * scale).astype(np.float32)
    levels = choose_levels(image.dtype, look(ArrayRows(image)), intensity_range, invert)
    values = normalise(image, card.norms, levels)
    assert np.abs(values).max() <= 1.001 / card.norms.std


# ---- networks gone mad ------------------------------------------------------------------------------

STEP = 4


def maps_of(
    workspace: Workspace,
    classes: NDArray[np.uint8],
    heat: NDArray[np.float32],
    offsets: NDArray[np.float32],
) -> Maps:
    """Maps of (H, W) classes, (h, w) heat and (2, h, w) offsets, h being H / STEP."""
    return Maps(
        classes=sheet_of(workspace, "classes", classes),
        heat=sheet_of(workspace, "heat", heat),
        offsets=sheet_of(workspace, "offsets", np.ascontiguousarray(offsets.transpose(1, 0, 2))),
        step=STEP,
        downsampling=1,
    )


def labels_of(maps: Maps, card: ModelCard, workspace: Workspace, **params: Any) -> Labels:
    merged, heights = find_objects(maps, Parameters(**params), card, workspace)
    assert len(heights) > merged.centre_ids.max()
    return all_labels(merged)


@pytest.fixture
def grid() -> tuple[int, int]:
    return 24, 32


def full(grid: tuple[int, int]) -> NDArray[np.uint8]:
    """All foreground."""
    return np.ones((grid[0] * STEP, grid[1] * STEP), np.uint8)


def test_a_peak_at_every_pixel_makes_an_object_of_every_pixel_of_the_grid(
    grid: tuple[int, int], card: ModelCard, workspace: Workspace
) -> None:
    maps = maps_of(workspace, full(grid), np.ones(grid, np.float32), np.zeros((2, *grid), np.float32))
    expected = 1 + np.arange(grid[0] * grid[1]).reshape(grid).repeat(STEP, 0).repeat(STEP, 1)
    np.testing.assert_array_equal(labels_of(maps, card, workspace), expected)


@pytest.mark.parametrize("height", [0.0, -1.0, np.nan])
def test_a_heat_map_without_a_peak_gives_no_object(
    height: float, grid: tuple[int, int], card: ModelCard, workspace: Workspace
) -> None:
    heat = np.full(grid, height, np.float32)
    maps = maps_of(workspace, full(grid), heat, np.zeros((2, *grid), np.float32))
    assert labels_of(maps, card, workspace).max() == 0
    semantic = labels_of(maps, card, workspace, semantic_only=True)
    assert (semantic == 1).all()


def test_centres_without_foreground_give_no_object(
    grid: tuple[int, int], card: ModelCard, workspace: Workspace
) -> None:
    maps = maps_of(
        workspace, full(grid) * np.uint8(0), np.ones(grid, np.float32), np.zeros((2, *grid), np.float32)
    )
    assert labels_of(maps, card, workspace).max() == 0


def test_for_classes_alone_there_is_neither_heat_nor_an_offset_to_group_by(
    card: ModelCard, engine: Engine, tmp_path: Path
) -> None:
    with Workspace(tmp_path) as workspace:
        found = run(GREY, {"semantic_only": True}, card, engine, workspace)
        np.testing.assert_array_equal(np.unique(all_labels(found.labels)), [0, 1])
        for name in ("heat", "offsets"):
            assert (tmp_path / f"{name}-0.sheet").stat().st_size == 0
    assert np.isnan(found.objects.columns["centre_confidence"]).all()


def test_classes_alone_are_those_of_the_network_whatever_the_heat_map_says(
    grid: tuple[int, int], card: ModelCard, workspace: Workspace
) -> None:
    random = np.random.default_rng(3)
    classes = (random.random((grid[0] * STEP, grid[1] * STEP)) < 0.5).astype(np.uint8)
    heat, offsets = random.random(grid, np.float32), random.normal(0, 9, (2, *grid)).astype(np.float32)
    labels = labels_of(maps_of(workspace, classes, heat, offsets), card, workspace, semantic_only=True)
    np.testing.assert_array_equal(labels, classes)


def test_seventy_thousand_objects_are_grouped_measured_and_stored(
    card: ModelCard, workspace: Workspace
) -> None:
    side, square = 265, STEP - 1  # pixels; between squares there is background
    classes = np.tile(np.pad(np.ones((square, square), np.uint8), (0, 1)), (side, side))
    heat, offsets = np.ones((side, side), np.float32), np.zeros((2, side, side), np.float32)
    maps = maps_of(workspace, classes, heat, offsets)
    merged, confidence = find_objects(maps, Parameters(), card, workspace)
    grey = ArrayRows(np.arange(classes.size, dtype=np.float32).reshape(classes.shape))
    objects = measure(merged, Scene(grey, None, card.class_names, confidence))
    labels = all_labels(merged)
    expected = 1 + np.arange(side**2).reshape(side, side).repeat(STEP, 0).repeat(STEP, 1)
    np.testing.assert_array_equal(labels, np.where(classes > 0, expected, 0))
    np.testing.assert_array_equal(objects.columns["label"], np.arange(1, side**2 + 1))
    np.testing.assert_array_equal(objects.columns["area_px"], np.full(side**2, square**2))
    middle = STEP * np.arange(side) + (square - 1) / 2
    np.testing.assert_allclose(objects.columns["centroid_y_px"], middle.repeat(side))
    np.testing.assert_allclose(objects.columns["centroid_x_px"], np.tile(middle, side))
    store = MemoryStore()
    write_labels(store, "labels.zarr", labels, None)
    stored = open_labels(store, "labels.zarr").array
    assert stored.dtype == np.uint32
    np.testing.assert_array_equal(stored[:], labels)


def test_scattered_pixels_are_objects_of_one_pixel(
    grid: tuple[int, int], card: ModelCard, workspace: Workspace
) -> None:
    classes = full(grid) * np.uint8(0)
    classes[::3, ::3] = 1
    heat = np.zeros(grid, np.float32)
    heat[5, 5] = 1
    labels = labels_of(maps_of(workspace, classes, heat, np.zeros((2, *grid), np.float32)), card, workspace)
    np.testing.assert_array_equal(np.unique(np.bincount(labels.ravel())[1:]), [1])
    assert labels.max() == classes.sum()


MAD = [1e4, -1e6, 3e38, -3e38, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("value", MAD)
@pytest.mark.parametrize("axis", [0, 1, slice(None)])
def test_offsets_gone_mad_still_give_every_foreground_pixel_an_object(
    value: float, axis: int | slice, grid: tuple[int, int], card: ModelCard, workspace: Workspace
) -> None:
    offsets = np.zeros((2, *grid), np.float32)
    offsets[axis, :, 10:20] = value
    heat = np.random.default_rng(1).random(grid, np.float32)
    labels = labels_of(maps_of(workspace, full(grid), heat, offsets), card, workspace)
    assert labels.min() == 1
    assert len(np.unique(labels)) == labels.max()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1), st.sampled_from([1, 3, 35]))
def test_noise_in_every_map_gives_labels_without_gaps(
    card: ModelCard, seed: int, sane: float, window: int
) -> None:
    random = np.random.default_rng(seed)
    grid = tuple(random.integers(1, 24, 2))
    heat, offsets = random.normal(0, 1, grid), random.normal(0, 10, (2, *grid))
    for values in (heat, offsets):
        values[random.random(values.shape) > sane] = random.choice(MAD)
    classes = (random.random((grid[0] * STEP, grid[1] * STEP)) < 0.6).astype(np.uint8)
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        maps = maps_of(workspace, classes, heat.astype(np.float32), offsets.astype(np.float32))
        centres = find_centres(maps.heat, 0.1, window)
        labels = labels_of(maps, card, workspace, min_distance_object_centers=window)
    np.testing.assert_array_equal(labels > 0, (classes > 0) & (len(centres) > 0))
    assert len(np.unique(labels[labels > 0])) == labels.max()


@pytest.mark.parametrize("classes", [1, 3])
def test_probabilities_that_are_no_numbers_are_background(classes: int) -> None:
    assert not harden(np.full((classes, 4, 5), np.nan, np.float32), 0.5).any()


def test_votes_that_are_no_numbers_count_as_pointing_at_their_own_place() -> None:
    grouping = Grouping(np.array([[2, 2], [2, 20]]), STEP)
    wanted = np.ones((5, 24), np.bool_)
    here = grouping.group(np.zeros((2, 5, 24), np.float32), wanted)
    for value in (np.nan, np.inf, -np.inf):
        np.testing.assert_array_equal(grouping.group(np.full((2, 5, 24), value, np.float32), wanted), here)


def test_votes_from_everywhere_for_far_places_end_at_the_centres_nearest_to_them() -> None:
    random = np.random.default_rng(2)
    centres = np.argwhere(random.random((256, 256)) < 0.05)
    wanted = np.ones((256, 256), np.bool_)
    ids = Grouping(centres, STEP).group(np.full((2, 256, 256), -1e30, np.float32), wanted)
    assert len(np.unique(ids)) < 20
