"""Centres, grouping and merging give what the reference gives, apart from its overflow of ids."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.partition import numbered
from tests.sheets import all_labels, sheet_of
from workers.inference.centres import find_centres
from workers.inference.grouping import Grouping
from workers.inference.merge import Kinds, harden, merge, merge_semantic
from workers.inference.rows import ArrayRows, Workspace

SMALL_CASES = (
    "plateau",
    "tie_equidistant",
    "threshold_edge",
    "confidence_edge",
    "semantic_only",
    "multiclass",
    "sem_empty",
)
LARGE_CASES = (
    "coarse_256",
    "coarse_256_k7",
    "coarse_256_k4",
    "coarse_256_k1",
    "fine_192x256",
    "coarse_up2",
    "coarse_up4",
    "no_centers",
    "four_centers_zero_offset",
    "multiclass_stuff300",
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
        return find_centres(ArrayRows(self.arrays["ctr"][0]), self.thr, self.k)

    @property
    def ids(self) -> NDArray[np.uint32]:
        """Centre numbers of all pixels at full resolution."""
        grouping = Grouping(self.centres, 4 if self.coarse else 1)
        grid = grouping.group(self.arrays["off"], np.ones(self.arrays["ctr"].shape[1:], np.bool_))
        scale = self.arrays["sem"].shape[1] // grid.shape[0]
        return grid.repeat(scale, axis=0).repeat(scale, axis=1)

    def labels(self, workspace: Workspace) -> NDArray[np.uint32]:
        classes = sheet_of(workspace, "classes", harden(self.arrays["sem"], self.conf))
        if not self.things:
            return all_labels(merge_semantic(classes, workspace))
        ids = self.ids
        kinds = Kinds(self.things, self.stuff)
        return all_labels(merge(classes, lambda y0, band: ids[y0 : y0 + len(band)], kinds, workspace))


def load(name: str, folder: Path) -> Case:
    index = json.loads((folder / "index_post.json").read_text())[name]
    with np.load(folder / "post_cases.npz") as file:
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


@pytest.fixture
def case(name: str, data: Path, request: pytest.FixtureRequest) -> Case:
    """The golden case `name`; skips where it is a large one and EMSERVE_GOLDENS is not set."""
    folder: Path = data if name in SMALL_CASES else request.getfixturevalue("goldens")
    return load(name, folder)


@pytest.mark.parametrize("name", [*SMALL_CASES, *LARGE_CASES, "overflow_div20"])
def test_centres_are_those_of_the_reference_in_its_order(case: Case) -> None:
    np.testing.assert_array_equal(case.centres, case.arrays["centers"].reshape(-1, 2))


@pytest.mark.parametrize("name", [*SMALL_CASES, *LARGE_CASES, "overflow_div20"])
def test_every_pixel_goes_to_the_centre_that_the_reference_gives_it(case: Case) -> None:
    if case.things:  # without things the reference's grouping is thrown away
        np.testing.assert_array_equal(case.ids, case.arrays["cells"])


@pytest.mark.parametrize("band_pixels", [1 << 22, 256 * 24], ids=["one band", "many bands"])
@pytest.mark.parametrize("name", [*SMALL_CASES, *LARGE_CASES])
def test_labels_agree_in_partition_class_and_order(
    case: Case, band_pixels: int, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.inference.merge.BAND_PIXELS", band_pixels)
    monkeypatch.setattr("workers.inference.centres._BAND_PIXELS", band_pixels // 16)
    np.testing.assert_array_equal(case.labels(workspace), numbered(case.arrays["connected"]))


def test_objects_beyond_the_references_divisor_stay_apart(goldens: Path, workspace: Workspace) -> None:
    case = load("overflow_div20", goldens)
    # The reference gives 45 labels here: ids past its divisor of 20 fall into the next class.
    assert case.labels(workspace).max() == 57


def test_seventy_thousand_objects_keep_their_labels(workspace: Workspace) -> None:
    side = 3 * 265
    y, x = np.indices((side, side))
    classes = ((y % 3 > 0) & (x % 3 > 0)).astype(np.uint8)
    ids = (1 + (y // 3) * 265 + x // 3).astype(np.uint32)
    merged = merge(
        sheet_of(workspace, "classes", classes),
        lambda y0, band: ids[y0 : y0 + len(band)],
        Kinds(frozenset({1})),
        workspace,
    )
    assert merged.count == 265**2
    np.testing.assert_array_equal(all_labels(merged), np.where(classes > 0, ids, 0))


def test_a_band_of_a_tall_image_finds_its_centres_near_and_far() -> None:
    rng = np.random.default_rng(2)
    centres = np.unique(rng.integers(0, (4000, 40), (300, 2)), axis=0)
    centres = centres[(centres[:, 0] < 1500) | (centres[:, 0] > 2500)]  # a gap wider than the reach
    grouping = Grouping(centres, step=4)
    for y0 in (0, 700, 1600, 2000, 3900):
        offsets = rng.normal(0, 30, (2, 20, 40)).astype(np.float32)
        offsets[:, 3, 3] = -5000  # points that are led far away
        grid = np.stack(np.meshgrid(np.arange(y0, y0 + 20), np.arange(40), indexing="ij"))
        points = (4 * grid + offsets).reshape(2, -1).T
        away = np.linalg.norm(4 * centres[None] - points[:, None], axis=2)
        found = grouping.group(offsets, np.ones((20, 40), np.bool_), y0)
        np.testing.assert_array_equal(found.ravel(), 1 + away.argmin(axis=1))
