"""Measures agree with scikit-image where it has them, and with geometry elsewhere."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import perimeter_crofton, regionprops

from tests.sheets import merged_of
from workers.inference.measure import ObjectTable, Scene, measure
from workers.inference.rows import ArrayRows, Workspace

SIZE_NM = (4.0, 6.0)


def table_of(labels: NDArray[np.uint32], pixel_size_nm: tuple[float, float] | None = None) -> ObjectTable:
    n = int(labels.max())
    rng = np.random.default_rng(5)
    image = rng.integers(0, 65535, labels.shape, dtype=np.uint16)
    confidence = np.linspace(0, 1, n + 1, dtype=np.float32)
    scene = Scene(ArrayRows(image), pixel_size_nm, {1: "mito"}, confidence)
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        return measure(merged_of(workspace, labels), scene)


@pytest.fixture(scope="module")
def blobs() -> NDArray[np.uint32]:
    """Hundreds of ellipses of all directions, some cut by the border, some touching, one of one pixel."""
    rng = np.random.default_rng(3)
    labels = np.zeros((600, 800), np.uint32)
    for label in range(1, 300):
        cy, cx, angle = rng.uniform(0, 600), rng.uniform(0, 800), rng.uniform(0, np.pi)
        a, b = rng.uniform(2, 30), rng.uniform(2, 12)
        top, left = max(0, int(cy) - 31), max(0, int(cx) - 31)
        around = labels[top : top + 64, left : left + 64]
        y, x = np.indices(around.shape)
        u = (x + left - cx) * np.cos(angle) + (y + top - cy) * np.sin(angle)
        v = (y + top - cy) * np.cos(angle) - (x + left - cx) * np.sin(angle)
        around[(u / a) ** 2 + (v / b) ** 2 < 1] = label
    labels[0, 0] = 300
    _, ranks = np.unique(labels, return_inverse=True)
    return ranks.reshape(labels.shape).astype(np.uint32)


def test_areas_boxes_centroids_and_grey_values_agree_with_scikit_image(blobs: NDArray[np.uint32]) -> None:
    table = table_of(blobs)
    image = np.random.default_rng(5).integers(0, 65535, blobs.shape, dtype=np.uint16)
    for row, props in enumerate(regionprops(blobs, image)):
        assert table.columns["label"][row] == props.label
        assert table.columns["area_px"][row] == props.area
        box = [table.columns[f"bbox_{side}_px"][row] for side in ("y0", "x0", "y1", "x1")]
        assert tuple(box) == props.bbox
        centroid = [table.columns["centroid_y_px"][row], table.columns["centroid_x_px"][row]]
        assert centroid == pytest.approx(props.centroid)
        inside = props.image_intensity[props.image].astype(float)
        assert table.columns["grey_mean"][row] == pytest.approx(inside.mean())
        assert table.columns["grey_sd"][row] == pytest.approx(inside.std())


def test_perimeters_agree_with_scikit_image(blobs: NDArray[np.uint32]) -> None:
    table = table_of(blobs)
    for row, props in enumerate(regionprops(blobs)):
        mask = np.pad(props.image, 1)
        assert table.columns["perimeter_px"][row] == pytest.approx(perimeter_crofton(mask, directions=4))


def test_orientations_agree_with_scikit_image(blobs: NDArray[np.uint32]) -> None:
    table = table_of(blobs)
    for row, props in enumerate(regionprops(blobs)):
        if math.isclose(props.axis_major_length, props.axis_minor_length, rel_tol=1e-3, abs_tol=1e-3):
            continue
        ours = float(table.columns["orientation_deg"][row])
        theirs = math.degrees(props.orientation) - 90  # from the rows' axis to +x
        assert math.sin(math.radians(ours - theirs)) == pytest.approx(0, abs=1e-6)
        assert -90 < ours <= 90


def brute_force_feret(mask: NDArray[np.bool_], size: tuple[float, float]) -> tuple[float, float]:
    y, x = np.nonzero(mask & ~ndimage.binary_erosion(mask))
    corners = np.array([(y + dy, x + dx) for dy in (0, 1) for dx in (0, 1)]).transpose(0, 2, 1).reshape(-1, 2)
    points = corners * np.array(size)
    angles = np.radians(np.arange(0, 180, 0.05))
    reach = points @ np.stack([np.sin(angles), np.cos(angles)])
    widths = reach.max(axis=0) - reach.min(axis=0)
    return widths.min(), widths.max()


def test_feret_diameters_agree_with_a_search_over_all_directions(blobs: NDArray[np.uint32]) -> None:
    table = table_of(blobs, SIZE_NM)
    for unit, size in (("px", (1.0, 1.0)), ("nm", SIZE_NM)):
        for row, props in enumerate(regionprops(blobs)):
            smallest, largest = brute_force_feret(props.image, size)
            assert table.columns[f"feret_min_{unit}"][row] == pytest.approx(smallest, rel=2e-3)
            assert table.columns[f"feret_max_{unit}"][row] == pytest.approx(largest, rel=1e-5)


def test_the_feret_diameter_of_a_concave_object_is_that_of_its_hull() -> None:
    labels = np.zeros((40, 40), np.uint32)
    labels[5:35, 5:8] = labels[32:35, 5:30] = 1
    table = table_of(labels)
    smallest, largest = brute_force_feret(labels == 1, (1.0, 1.0))
    assert table.columns["feret_min_px"][0] == pytest.approx(smallest, rel=2e-3)
    assert table.columns["feret_max_px"][0] == pytest.approx(largest, rel=1e-5)


def test_a_rectangle_has_the_measures_of_a_rectangle() -> None:
    labels = np.zeros((30, 50), np.uint32)
    labels[10:20, 5:45] = 1
    table = table_of(labels, (2.0, 2.0))
    assert table.columns["area_nm2"][0] == 400 * 4
    assert table.columns["feret_min_px"][0] == 10
    assert table.columns["feret_max_px"][0] == pytest.approx(math.hypot(10, 40))
    assert table.columns["feret_max_nm"][0] == pytest.approx(2 * math.hypot(10, 40))
    assert table.columns["orientation_deg"][0] == 0
    assert table.columns["perimeter_nm"][0] == pytest.approx(2 * table.columns["perimeter_px"][0])


@pytest.mark.parametrize("size", [(1.0, 1.0), (1.0, 2.0)])
def test_a_disc_has_the_perimeter_and_circularity_of_a_circle(size: tuple[float, float]) -> None:
    y, x = np.indices((300, 300)) - 150
    labels = (((y * size[0]) ** 2 + (x * size[1]) ** 2) < 100**2).astype(np.uint32)
    table = table_of(labels, size)
    assert table.columns["perimeter_nm"][0] == pytest.approx(2 * math.pi * 100, rel=0.03)
    assert table.columns["circularity"][0] == pytest.approx(1, rel=0.06)


def test_a_line_upwards_to_the_right_is_oriented_upwards_to_the_right() -> None:
    labels = np.zeros((20, 20), np.uint32)
    for step in range(15):
        labels[17 - step, 2 + step] = 1
    assert table_of(labels).columns["orientation_deg"][0] == pytest.approx(45)
    assert table_of(labels[:, ::-1].copy()).columns["orientation_deg"][0] == pytest.approx(-45)
    assert table_of(np.ones((9, 1), np.uint32)).columns["orientation_deg"][0] == 90


def test_orientations_are_those_of_pixels_as_high_as_they_are() -> None:
    y, x = np.indices((60, 260))
    slanted = (np.abs(30 * (y - 30) + 5 * (x - 130)) < 60).astype(np.uint32)  # at 45 degrees in nanometres
    assert table_of(slanted, (30.0, 5.0)).columns["orientation_deg"][0] == pytest.approx(45, abs=2)
    bar = np.zeros((30, 50), np.uint32)
    bar[10:20, 10:30] = 1  # 300 nm high and 100 nm wide
    assert table_of(bar, (30.0, 5.0)).columns["orientation_deg"][0] == 90


def test_what_has_no_value_is_not_a_number() -> None:
    table = table_of(np.ones((4, 4), np.uint32))
    for name in ("area_nm2", "perimeter_nm", "feret_min_nm", "feret_max_nm", "orientation_deg"):
        assert math.isnan(table.columns[name][0])


def test_an_empty_map_has_an_empty_table_with_every_column() -> None:
    empty = table_of(np.zeros((8, 8), np.uint32))
    assert len(empty) == 0
    assert list(empty) == list(table_of(np.ones((8, 8), np.uint32)))


def test_the_confidence_is_that_of_the_objects_centre() -> None:
    labels = np.array([[1, 1, 0, 2]], np.uint32)
    np.testing.assert_allclose(table_of(labels).columns["centre_confidence"], [0.5, 1.0])


def test_measures_do_not_depend_on_where_bands_begin(
    blobs: NDArray[np.uint32], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, wide = blobs.copy(), int(blobs.max()) + 1
    labels[205:221] = wide  # from side to side: where a row ends its run must end
    whole = table_of(labels, SIZE_NM)
    monkeypatch.setattr("workers.inference.merge.BAND_PIXELS", labels.shape[1] * 7)
    in_bands = table_of(labels, SIZE_NM)
    for name, column in whole.columns.items():
        if column.dtype.kind == "f":
            np.testing.assert_allclose(in_bands.columns[name], column, rtol=1e-9)
        else:
            np.testing.assert_array_equal(in_bands.columns[name], column)
    assert whole.columns["label"][-1] == wide
    box = [whole.columns[f"bbox_{side}_px"][-1] for side in ("y0", "x0", "y1", "x1")]
    assert box == [205, 0, 221, labels.shape[1]]
    assert whole.columns["feret_min_px"][-1] == 16


def test_an_object_in_pieces_is_measured_as_one_whatever_lies_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    labels = np.zeros((40, 10), np.uint32)
    labels[2, 3:6] = labels[35:38, 7] = 1
    labels[15:20, 4] = 2
    monkeypatch.setattr("workers.inference.merge.BAND_PIXELS", labels.shape[1] * 4)
    columns = table_of(labels).columns
    assert columns["feret_max_px"] == pytest.approx([math.hypot(36, 5), math.hypot(5, 1)])
    np.testing.assert_array_equal(columns["area_px"], [6, 5])


def test_nothing_is_lost_far_from_the_origin_on_a_bright_ground() -> None:
    labels = np.zeros((3, 100_000), np.uint32)
    labels[:, -7:-2] = 1
    image = np.full(labels.shape, 1e6, np.float32)
    image[1] += 1
    with TemporaryDirectory() as folder, Workspace(Path(folder)) as workspace:
        scene = Scene(ArrayRows(image), None, {}, np.zeros(2, np.float32))
        columns = measure(merged_of(workspace, labels), scene).columns
    assert columns["grey_sd"][0] == pytest.approx(np.sqrt(2 / 9))
    assert columns["centroid_x_px"][0] == 99_995
    assert columns["orientation_deg"][0] == 0
