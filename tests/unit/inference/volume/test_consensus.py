"""Stacks along three axes agree on what the reference says that they agree on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.partition import agreement, numbered, same_partition
from tests.volumes import everything, labelled
from workers.inference.rows import Workspace
from workers.inference.volume.clusters import Rule
from workers.inference.volume.consensus import agree

Volume = NDArray[Any]
THINGS = frozenset({1})
MIN_SIZE = 100  # of the goldens


def golden(key: str, goldens: Path) -> Volume:
    with np.load(goldens / "consensus3d.npz") as file:
        array: Volume = file[key]
        return array


def views(case: str, goldens: Path) -> list[Volume]:
    """The three stacks' label maps, labels in the order in which the stack's slices show them."""
    return [_as_met(golden(f"{case}_{name}", goldens), axis) for axis, name in enumerate(("xy", "xz", "yz"))]


def _as_met(labels: Volume, axis: int) -> Volume:
    slices = np.moveaxis(labels, axis, 0)
    met = dict.fromkeys(label for each in slices for label in np.unique(each).tolist() if label)
    names = np.zeros(int(labels.max()) + 1, np.int64)
    names[list(met)] = np.arange(1, len(met) + 1)
    return np.asarray(names[labels])


@pytest.mark.parametrize("one_view", [False, True])
@pytest.mark.parametrize("votes", [1, 2, 3])
@pytest.mark.parametrize("case", ["c1", "c2"])
def test_the_consensus_is_that_of_the_reference(
    case: str, votes: int, one_view: bool, goldens: Path, workspace: Workspace
) -> None:
    stacks = [labelled(view, workspace, str(n)) for n, view in enumerate(views(case, goldens))]
    rule = Rule(votes, 1 if one_view else 2, THINGS, MIN_SIZE)
    found = everything(agree(stacks, rule, workspace, lambda: None))
    assert same_partition(found, golden(f"{case}_vote{votes}_one{int(one_view)}", goldens))


@pytest.mark.parametrize("votes", [1, 2, 3])
@pytest.mark.parametrize("case", ["c1", "c2"])
def test_of_a_class_without_instances_voxels_are_counted(
    case: str, votes: int, goldens: Path, workspace: Workspace
) -> None:
    stacks = [labelled((view > 0) * 1, workspace, str(n)) for n, view in enumerate(views(case, goldens))]
    found = everything(agree(stacks, Rule(votes, 2, frozenset()), workspace, lambda: None))
    np.testing.assert_array_equal(found, golden(f"{case}_sem_vote{votes}", goldens))


@pytest.mark.parametrize(("votes", "one_view"), [(1, False), (2, False), (3, False), (2, True)])
def test_stacks_of_a_network_agree_as_in_the_reference(
    votes: int, one_view: bool, goldens: Path, workspace: Workspace
) -> None:
    with np.load(goldens / "engine3d.npz") as file:
        stacks = [
            labelled(_as_met(numbered(file[f"ortho_{name}"]), axis), workspace, name)
            for axis, name in enumerate(("xy", "xz", "yz"))
        ]
        expected = file[f"ortho_cons_vote{votes}_one{int(one_view)}"]
    found = agree(stacks, Rule(votes, 1 if one_view else 2, THINGS, 500), workspace, lambda: None)
    assert agreement(everything(found), expected) >= 0.999
