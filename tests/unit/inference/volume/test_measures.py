"""Measures of objects in space, against scikit-image and against shapes whose measures are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label as connected
from skimage.measure import marching_cubes, mesh_surface_area, regionprops

from emserve.cards import Catalogue
from emserve.params import Parameters
from tests.volumes import labelled
from training.stacks import ArrayVolume
from workers.inference.measure import Column
from workers.inference.rows import Workspace
from workers.inference.volume.measures import measure_volume
from workers.inference.volume.request import Request3D

Volume = NDArray[Any]
Size = tuple[float, float, float]


def measured(
    labels: Volume, workspace: Workspace, size: Size | None = (40.0, 8.0, 8.0), greys: Volume | None = None
) -> dict[str, Column]:
    source = ArrayVolume(np.zeros(labels.shape, np.uint8) if greys is None else greys)
    card = Catalogue(Path("no such folder")).find("mitonet@1")
    request = Request3D(source, size, Parameters(mode="stack"), card, "")
    return measure_volume(labelled(labels, workspace), request, lambda: None).columns


@pytest.fixture(scope="module")
def blobs() -> Volume:
    """Bent objects, some of which touch others and the volume's border."""
    field = ndimage.gaussian_filter(np.random.default_rng(3).standard_normal((40, 60, 64)), 4)
    signs = np.where(np.abs(field) > np.quantile(np.abs(field), 0.5), 1 + (field > 0), 0)
    return np.asarray(connected(signs, connectivity=1), np.uint32)


def test_counts_boxes_centroids_and_grey_values_are_those_of_scikit_image(
    blobs: Volume, workspace: Workspace
) -> None:
    greys = np.random.default_rng(5).integers(30000, 65535, blobs.shape).astype(np.uint16)
    table = measured(blobs, workspace, greys=greys)
    regions = regionprops(blobs, greys)
    assert len(regions) == len(table["label"]) >= 10
    for row, region in enumerate(regions):
        box = [table[f"bbox_{axis}{side}_vx"][row] for side in (0, 1) for axis in "zyx"]
        assert box == list(region.bbox)
        np.testing.assert_allclose([table[f"centroid_{axis}_vx"][row] for axis in "zyx"], region.centroid)
        inside = greys[blobs == region.label].astype(np.float64)
        assert table["volume_vx"][row] == region.area
        assert table["volume_nm3"][row] == region.area * 40 * 8 * 8
        assert table["grey_mean"][row] == pytest.approx(inside.mean())
        assert table["grey_sd"][row] == pytest.approx(inside.std())
        assert table["slices"][row] == np.count_nonzero((blobs == region.label).any(axis=(1, 2)))
        assert table["extent_z_nm"][row] == 40 * (region.bbox[3] - region.bbox[0])


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (40.0, 8.0, 8.0)])
def test_surfaces_are_those_of_scikit_images_marching_cubes(
    size: Size, blobs: Volume, workspace: Workspace
) -> None:
    table = measured(blobs, workspace, size)
    for row, label in enumerate(table["label"]):
        mask = np.pad(blobs == label, 1).astype(np.float32)
        vertices, faces, _, _ = marching_cubes(mask, 0.5, spacing=size)
        # Where two corners of a cube's face are inside, scikit-image looks at the cube to join them or not.
        assert table["surface_nm2"][row] == pytest.approx(mesh_surface_area(vertices, faces), rel=0.01)


def test_a_ball_has_the_surface_and_the_sphericity_of_a_ball(workspace: Workspace) -> None:
    radius = 30.0
    z, y, x = np.indices((71, 71, 71)) - 35
    table = measured((z**2 + y**2 + x**2 <= radius**2).astype(np.uint32), workspace, (1.0, 1.0, 1.0))
    # A surface of triangles half way between voxels is a few percent rougher than a smooth one.
    assert table["surface_nm2"][0] == pytest.approx(4 * np.pi * radius**2, rel=0.1)
    assert 0.9 <= table["sphericity"][0] <= 1


def test_a_box_has_the_surface_of_a_box_with_its_edges_cut_off(workspace: Workspace) -> None:
    labels = np.zeros((9, 12, 14), np.uint32)
    labels[2:7, 2:10, 2:12] = 1
    a, b, c = 5, 8, 10
    faces = 2 * ((a - 1) * (b - 1) + (a - 1) * (c - 1) + (b - 1) * (c - 1))
    edges = 4 * np.sqrt(0.5) * (a + b + c - 3)
    corners = 8 * np.sqrt(3) / 8
    assert measured(labels, workspace)["surface_vx2"][0] == pytest.approx(faces + edges + corners)


def test_nothing_in_nanometres_is_said_of_voxels_of_unknown_size(blobs: Volume, workspace: Workspace) -> None:
    table = measured(blobs, workspace, size=None)
    for name, column in table.items():
        if name != "class_name":
            assert np.isnan(column.astype(np.float64)).all() == ("_nm" in name), name
    unit = measured(blobs, workspace, size=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(table["sphericity"], unit["sphericity"])


def test_a_volume_without_objects_has_an_empty_table(workspace: Workspace) -> None:
    table = measured(np.zeros((3, 4, 5), np.uint32), workspace)
    assert all(len(column) == 0 for column in table.values())
