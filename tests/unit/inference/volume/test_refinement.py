"""Erosion and dilation are the reference's; holes are filled, and nothing else is."""

from pathlib import Path
from typing import Any

import cc3d
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from emserve.params import Parameters
from tests.partition import numbered, same_partition
from tests.volumes import everything, labelled
from workers.inference.rows import Workspace
from workers.inference.volume.components import Components3D
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.refinement import passes, refine

Volume = NDArray[Any]


def golden(key: str, goldens: Path) -> Volume:
    with np.load(goldens / "filters3d.npz") as file:
        array: Volume = file[key]
        return array


def refined(labels: Volume, workspace: Workspace, **params: Any) -> Labelled:
    return refine(labelled(labels, workspace), Parameters(**params), workspace, lambda: None)


@pytest.mark.parametrize(
    ("name", "params"), [("erode", {"label_erosion": 2}), ("dilate", {"label_dilation": 2})]
)
def test_two_layers_are_taken_off_and_added_as_the_reference_does(
    name: str, params: dict[str, int], goldens: Path, workspace: Workspace
) -> None:
    found = refined(numbered(golden("in", goldens)), workspace, **params)
    assert same_partition(everything(found), golden(name, goldens))


@pytest.fixture
def crowd() -> Volume:
    """Touching objects that cross the borders of slabs."""
    rng = np.random.default_rng(1)
    field = ndimage.gaussian_filter(rng.standard_normal((40, 30, 34)), 2.5)
    labels = np.where(np.abs(field) > np.quantile(np.abs(field), 0.6), 1 + (field > 0), 0)
    return numbered(cc3d.connected_components(labels.astype(np.uint32), connectivity=26))


def test_more_layers_than_a_pass_takes_are_as_many_single_layers(crowd: Volume, workspace: Workspace) -> None:
    cross = ndimage.generate_binary_structure(3, 1)
    expected = crowd
    for _ in range(11):
        expected = ndimage.grey_dilation(expected, footprint=cross, mode="constant", cval=0)
    found = refined(crowd, workspace, label_dilation=11)
    parts = cc3d.connected_components(expected.astype(np.uint32), connectivity=26)
    assert same_partition(everything(found), parts)


@pytest.mark.parametrize("slices", [1, 3, 40])
def test_components_do_not_depend_on_slabs(slices: int, crowd: Volume) -> None:
    rng = np.random.default_rng(0)
    values = np.where(rng.random(crowd.shape) < 0.3, rng.integers(1, 3, crowd.shape), 0).astype(np.uint32)
    components = Components3D()
    numbers = [components.add(values[z : z + slices]) for z in range(0, len(values), slices)]
    final, value_of = components.merged()
    found = final[np.concatenate(numbers)]
    assert same_partition(found, cc3d.connected_components(values, connectivity=26))
    np.testing.assert_array_equal(value_of[found], values)


def test_holes_are_filled_slice_by_slice_and_other_objects_keep_their_voxels(
    goldens: Path, workspace: Workspace
) -> None:
    given = numbered(golden("in", goldens))
    expected = given.copy()
    for plane, full in zip(given, expected, strict=True):
        for label in np.unique(plane)[1:]:
            full[ndimage.binary_fill_holes(plane == label) & (full == 0)] = label
    found = everything(refined(given, workspace, fill_holes_in_segmentation=True))
    np.testing.assert_array_equal(found > 0, expected > 0)
    kept = given > 0
    pairs = np.unique(np.stack([found[kept], given[kept]]), axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1]  # no object has voxels that were another's
    # The reference overwrites neighbours, so only what is background in both can be compared with it.
    assert np.mean((golden("fill", goldens) > 0) != (found > 0)) <= 0.003


def test_steps_are_counted_before_they_are_taken(crowd: Volume, workspace: Workspace) -> None:
    params = Parameters(label_erosion=9, label_dilation=1, fill_holes_in_segmentation=True, min_size=5)
    seen: list[int] = []
    refine(labelled(crowd, workspace), params, workspace, lambda: seen.append(1))
    assert len(seen) == passes(params) * len(crowd)
