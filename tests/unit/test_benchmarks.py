"""Each benchmark runs, at a size where it proves nothing but that."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.plan import Plan
from benchmarks.post_processing import same_objects
from benchmarks.results import Results
from benchmarks.run import Run
from benchmarks.throughput import (
    measure_occupation,
    measure_throughput,
    occupation_table,
    throughput_table,
)
from emserve.cards import Catalogue

pytestmark = pytest.mark.timeout(600)  # several processes load torch, one after the other

_TINY = Plan(
    scene=64,
    centres=(4,),
    centres_alone=(9,),
    measured_objects=(5,),
    tile=64,
    tile_centres=4,
    repeats=(1, 2),
    memory_sides=(128,),
    decoded_sides=(128,),
    alternating_jobs=4,
    alternating_models=("mitonet@starter",) * 3,
    models=("mitonet@starter",),
    forward_sides=(256,),
    forward_seconds=0.0,
    floor_matrix=256,  # without units for bf16 a processor takes a minute for a large one
    agreement_images=1,
    stack_slices=(10,),
    stack_side=64,
    beyond=((10, 512),),
    matched_objects=(9,),
    consensus=((24, 6),),
)


@pytest.fixture(scope="module")
def told() -> list[str]:
    """What a run said that it measures."""
    return []


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, told: list[str]) -> Results:
    return Run(_TINY, tmp_path_factory.mktemp("bench"), told.append).results(with_peer=False)


def test_every_measurement_is_announced(results: Results, told: list[str]) -> None:
    assert results.peer_missing
    assert len(told) == _TINY.steps - 1  # all but the installation of the peer


def test_results_are_written_as_numbers_and_as_plots(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path)
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["measures"][0]["areas_agree"]
    assert written["peaks"][0]["peak_bytes"] >= written["peaks"][0]["idle_bytes"] > 0
    assert written["alternations"][0]["evictions"] == 2
    assert len(written["alternations"][0]["resident_bytes"]) == 4
    assert all(each["peak_bytes"] >= each["idle_bytes"] > 0 for each in written["decodings"])
    assert [cost["megapixels"] for cost in written["costs"]] == [64 * 64 / 2**20, 128 * 128 / 2**20]
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_every_table_has_a_cell_for_each_of_its_columns(results: Results) -> None:
    for table in results.tables():
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_a_device_is_measured_by_tiles_and_by_an_image(tmp_path: Path) -> None:
    card = Catalogue(tmp_path).find("mitonet@starter")
    weights = Catalogue(tmp_path).weights(card)
    assert weights is not None
    run = measure_throughput(card.id, "cpu", "fp32", side=64, batches=(1, 2), at_least_s=0.0, matrix=256)
    assert run.batch in (1, 2)
    assert run.tiles_per_s > 0
    assert run.peak_share > 0
    image = measure_occupation(card, weights, "cpu", "fp32", 128, tmp_path)
    assert image.tiles == 1
    assert 0 < image.engine_s < image.wall_s
    assert image.busy_share is None
    for table in (throughput_table("cpu", (run,)), occupation_table("cpu", (image,))):
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_label_maps_are_compared_as_divisions_of_the_pixels() -> None:
    labels = np.array([[0, 1, 1], [0, 2, 3]])
    assert same_objects(labels, np.array([[0, 7, 7], [0, 5, 6]]))
    assert not same_objects(labels, np.array([[0, 7, 7], [0, 5, 5]]))
    assert not same_objects(labels, np.array([[0, 7, 7], [0, 0, 6]]))
    assert not same_objects(labels, labels + 1)
