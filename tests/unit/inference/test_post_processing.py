"""Centres, grouping and merging give what the reference gives, apart from its overflow of ids."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.partition import numbered
from workers.inference.centres import find_centres
from workers.inference.grouping import Votes, group
from workers.inference.merge import harden, merge, merge_semantic

CASES = (
    "coarse_256",
    "coarse_256_k7",
    "coarse_256_k4",
    "coarse_256_k1",
    "fine_192x256",
    "coarse_up2",
    "coarse_up4",
    "no_centers",
    "plateau",
    "four_centers_zero_offset",
    "tie_equidistant",
    "threshold_edge",
    "confidence_edge",
    "semantic_only",
    "multiclass",
    "multiclass_stuff300",
    "sem_empty",
)


@dataclass(frozen=True)
class Case:
    arrays: dict[str, NDArray[Any]]
    thr: float
    k: int
    conf: float
    coarse: bool
    things: frozenset[int]
    stuff: int

    @property
    def centres(self) -> NDArray[np.intp]:
        return find_centres(self.arrays["ctr"][0], self.thr, self.k)

    @property
    def ids(self) -> NDArray[np.uint32]:
        """Centre numbers of all pixels at full resolution."""
        votes = Votes(self.centres, self.arrays["off"], 4 if self.coarse else 1)
        grid = group(votes, np.ones(self.arrays["ctr"].shape[1:], np.bool_))
        scale = self.arrays["sem"].shape[1] // grid.shape[0]
        return grid.repeat(scale, axis=0).repeat(scale, axis=1)

    @property
    def labels(self) -> NDArray[np.uint32]:
        classes = harden(self.arrays["sem"], self.conf)
        if not self.things:
            return merge_semantic(classes).labels
        return merge(classes, self.ids, self.things, self.stuff).labels


def load(name: str, goldens: Path) -> Case:
    index = json.loads((goldens / "index_post.json").read_text())[name]
    with np.load(goldens / "post_cases.npz") as file:
        arrays = {key.split("__")[1]: file[key] for key in file.files if key.startswith(f"{name}__")}
    return Case(
        arrays,
        index["thr"],
        index["k"],
        index["conf"],
        index["coarse"],
        frozenset(index["things"]),
        index["stuff"],
    )


@pytest.mark.parametrize("name", [*CASES, "overflow_div20"])
def test_centres_are_those_of_the_reference_in_its_order(name: str, goldens: Path) -> None:
    case = load(name, goldens)
    np.testing.assert_array_equal(case.centres, case.arrays["centers"].reshape(-1, 2))


@pytest.mark.parametrize("name", [*CASES, "overflow_div20"])
def test_every_pixel_goes_to_the_centre_that_the_reference_gives_it(name: str, goldens: Path) -> None:
    case = load(name, goldens)
    if case.things:  # without things the reference's grouping is thrown away
        np.testing.assert_array_equal(case.ids, case.arrays["cells"])


@pytest.mark.parametrize("name", CASES)
def test_labels_agree_in_partition_class_and_order(name: str, goldens: Path) -> None:
    case = load(name, goldens)
    np.testing.assert_array_equal(case.labels, numbered(case.arrays["connected"]))


def test_objects_beyond_the_references_divisor_stay_apart(goldens: Path) -> None:
    case = load("overflow_div20", goldens)
    # The reference gives 45 labels here: ids past its divisor of 20 fall into the next class.
    assert case.labels.max() == 57
