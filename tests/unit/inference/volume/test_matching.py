"""Objects are matched from slice to slice as the reference matches them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emserve.params import Parameters
from tests.partition import numbered, same_partition
from tests.volumes import everything, tracked
from workers.inference.rows import Workspace
from workers.inference.volume.plane import PLANES
from workers.inference.volume.refinement import drop_small

DIVISORS = {"m1": 1000, "m2": 1000, "m3_div30": 30}
THINGS = frozenset({1})


def golden(key: str, goldens: Path) -> NDArray[Any]:
    with np.load(goldens / "match3d.npz") as file:
        array: NDArray[Any] = file[key]
        return array


@pytest.mark.parametrize("name", DIVISORS)
def test_matching_forward_gives_the_very_ids_of_the_reference(
    name: str, goldens: Path, workspace: Workspace
) -> None:
    given = golden(f"{name}_in", goldens)
    forward, _ = tracked(given, given > 0, THINGS, workspace)
    expected = golden(f"{name}_fwd", goldens)
    # The third case's ids pass its divisor of 30, and the next class's begin there.
    np.testing.assert_array_equal(forward, np.where(expected > 0, expected - DIVISORS[name], 0))


@pytest.mark.parametrize("name", DIVISORS)
def test_tracking_back_divides_the_stack_as_the_reference_does(
    name: str, goldens: Path, workspace: Workspace
) -> None:
    given = golden(f"{name}_in", goldens)
    _, found = tracked(given, given > 0, THINGS, workspace)
    np.testing.assert_array_equal(everything(found), numbered(golden(f"{name}_out", goldens)))


@pytest.mark.parametrize("name", DIVISORS)
def test_small_and_flat_objects_are_dropped_where_the_reference_drops_them(
    name: str, goldens: Path, workspace: Workspace
) -> None:
    given = golden(f"{name}_in", goldens)
    _, found = tracked(given, given > 0, THINGS, workspace)
    large = drop_small(found, Parameters(min_size=500, min_extent=4), lambda: None)
    assert same_partition(everything(large), golden(f"{name}_filtered", goldens))


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
def test_classes_are_matched_apart_and_one_without_instances_is_one_object(
    plane: str, goldens: Path, workspace: Workspace
) -> None:
    given = golden("multi_in", goldens)
    _, found = tracked(given, given // 1000, frozenset({1, 2}), workspace, PLANES[plane])
    expected = golden("multi_out" if plane == "xy" else f"multi_{plane}_out", goldens)
    np.testing.assert_array_equal(found.class_ids[everything(found)], expected // 1000)
    np.testing.assert_array_equal(everything(found), numbered(expected))
