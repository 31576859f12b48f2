"""A volume is segmented slice by slice as the reference does, however it is cut and interrupted."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emserve.cards import ModelCard
from emserve.jobs import Stage
from emserve.params import Parameters
from tests.golden_models import card_of, engine_of
from tests.partition import agreement
from tests.volumes import MemoryLedger
from training.phantoms import make_volume_phantom
from training.stacks import ArrayVolume
from workers.inference.engine import Engine
from workers.inference.pipeline import Request2D, choose_look, segment
from workers.inference.preprocess import look
from workers.inference.rows import ArrayRows, Workspace
from workers.inference.volume.inference import Inference
from workers.inference.volume.pipeline import segment_volume
from workers.inference.volume.plane import PLANES
from workers.inference.volume.ranges import cut
from workers.inference.volume.request import Request3D, Segmentation3D

Volume = NDArray[Any]
Step = tuple[Stage, int, int]


@pytest.fixture(scope="module")
def mini_ledger() -> MemoryLedger:
    """What the reference's mini network says of the golden volume is inferred once."""
    return MemoryLedger()


@pytest.mark.parametrize("median_slices", [1, 3, 5])
def test_a_stack_is_divided_as_the_reference_divides_it(
    median_slices: int, mini_ledger: MemoryLedger, goldens: Path, workspace: Workspace
) -> None:
    with np.load(goldens / "engine3d.npz") as file:
        volume, expected = file["volume"], file[f"xy_median{median_slices}_final"]
    params = Parameters(
        mode="stack", min_distance_object_centers=7, min_size=500, min_extent=5, median_slices=median_slices
    )
    request = Request3D(ArrayVolume(volume), None, params, card_of("MitoNet_v1_mini"), "seeded")
    engine = engine_of("MitoNet_v1_mini", goldens)
    found = segment_volume(request, engine, workspace, mini_ledger, lambda *_: None)
    assert agreement(found.labels.read(0, len(volume)), expected) >= 0.9999


@pytest.fixture(scope="module")
def phantom() -> Volume:
    return make_volume_phantom(16, (13, 96, 112), (24.0, 16.0, 16.0)).image


class Bench:
    """Segments volumes with the starter model, and writes down the progress."""

    def __init__(self, starter: tuple[ModelCard, Engine], folder: Path) -> None:
        self._card, self._engine = starter
        self._folder = folder
        self.steps: list[Step] = []

    def segment(
        self,
        volume: Volume,
        ledger: MemoryLedger | None = None,
        *,
        range_pixels: int = 1 << 23,
        identity: str = "starter",
        on_progress: Callable[[Stage, int, int, str], None] | None = None,
        **params: Any,  # of many types; Parameters checks them
    ) -> tuple[Volume, Segmentation3D]:
        request = Request3D(
            ArrayVolume(volume),
            (24.0, 16.0, 16.0),
            Parameters(**{"mode": "stack", "min_size": 50, "min_extent": 2, **params}),
            self._card,
            identity,
            range_pixels,
        )
        self.steps = []

        def note(stage: Stage, done: int, total: int, unit: str) -> None:
            assert unit == "slices"
            self.steps.append((stage, done, total))
            if on_progress is not None:
                on_progress(stage, done, total, unit)

        with Workspace(self._folder) as workspace:
            found = segment_volume(request, self._engine, workspace, ledger or MemoryLedger(), note)
            return found.labels.read(0, len(volume)), found


@pytest.fixture
def bench(starter: tuple[ModelCard, Engine], tmp_path: Path) -> Bench:
    return Bench(starter, tmp_path)


@pytest.mark.parametrize("plane", ["xy", "yz"])
def test_the_result_does_not_depend_on_where_the_ranges_are_cut(
    plane: str, phantom: Volume, bench: Bench
) -> None:
    volume = phantom if plane == "xy" else phantom[:, :, 84:108]
    expected, found = bench.segment(volume, inference_plane=plane)
    assert found.labels.count >= 2
    for range_pixels in (1, 5 * 96 * 112):
        labels, again = bench.segment(volume, range_pixels=range_pixels, inference_plane=plane)
        np.testing.assert_array_equal(labels, expected)
        for name, column in found.objects.columns.items():
            np.testing.assert_array_equal(again.objects.columns[name], column)


class Interrupted(Exception):
    pass


def test_an_interrupted_volume_repeats_one_range_at_most_and_ends_the_same(
    phantom: Volume, bench: Bench
) -> None:
    expected, _ = bench.segment(phantom)
    ledger, per_range = MemoryLedger(), 3 * 96 * 112

    def stop_at(slices: int) -> Callable[[Stage, int, int, str], None]:
        def stop(stage: Stage, done: int, _total: int, _unit: str) -> None:
            if stage is Stage.INFER and done == slices:
                raise Interrupted

        return stop

    for slices, kept in ((4, 1), (8, 2)):
        with pytest.raises(Interrupted):
            bench.segment(phantom, ledger, range_pixels=per_range, on_progress=stop_at(slices))
        assert len(ledger.saved) == kept
    labels, _ = bench.segment(phantom, ledger, range_pixels=per_range)
    assert len(ledger.saved) == len(set(ledger.saved)) == 5  # no range was inferred twice
    np.testing.assert_array_equal(labels, expected)


class Forgetful(MemoryLedger):
    """Loses some notes, as a storage does that is away for a moment."""

    def save(self, key: str, entry: bytes) -> None:
        if len(self.saved) % 3 != 1:
            super().save(key, entry)
        else:
            self.saved.append(key)


@pytest.mark.parametrize("cut_to", [0, 100], ids=["empty", "cut off"])
def test_notes_that_a_power_cut_damaged_cost_their_work_and_no_job(
    cut_to: int, phantom: Volume, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    slices, ledger = phantom[:2], MemoryLedger()
    expected, _ = bench.segment(slices, ledger, range_pixels=1)
    damaged = ledger.saved[0]
    ledger.entries[damaged] = ledger.entries[damaged][:cut_to]
    labels, _ = bench.segment(slices, ledger, range_pixels=1)
    assert ledger.saved == [*dict.fromkeys(ledger.saved), damaged]  # it alone was inferred again
    np.testing.assert_array_equal(labels, expected)
    assert "a note of finished slices is damaged" in caplog.text


def test_notes_that_got_lost_cost_their_work_and_no_job(phantom: Volume, bench: Bench) -> None:
    slices = phantom[:6]
    expected, _ = bench.segment(slices)
    forgetful = Forgetful()
    labels, _ = bench.segment(slices, forgetful, range_pixels=1)
    assert len(forgetful.saved) > len(set(forgetful.saved))  # some were worked out again
    np.testing.assert_array_equal(labels, expected)


def test_what_was_inferred_otherwise_is_not_used(phantom: Volume, bench: Bench) -> None:
    ledger, volume = MemoryLedger(), phantom[:3]
    bench.segment(volume, ledger)
    for change in (
        {"identity": "another device"},
        {"confidence_thr": 0.6},
        {"center_confidence_thr": 0.2},
        {"min_distance_object_centers": 5},
        {"downsampling": 2},
        {"fine_boundaries": True},
        {"invert": True},
        {"intensity_range": (0, 200)},
        {"semantic_only": True},
        {"inference_plane": "xz"},
    ):
        before = len(ledger.saved)
        bench.segment(volume, ledger, **change)
        assert len(ledger.saved) == before + 1, change
    before = len(ledger.saved)
    later: dict[str, Any] = {"median_slices": 1, "min_slice_size": 9, "min_size": 0, "label_dilation": 1}
    bench.segment(volume, ledger, **later)
    assert len(ledger.saved) == before


@pytest.mark.parametrize("plane", ["xy", "yz"])
def test_of_a_slice_only_what_is_large_enough_is_matched(plane: str, phantom: Volume, bench: Bench) -> None:
    volume, ledger = phantom[:6] if plane == "xy" else phantom[:, :, 80:92], MemoryLedger()

    def smallest(min_slice_size: int) -> int:
        """Of the objects of all slices."""
        sizes: dict[str, Any] = {"min_slice_size": min_slice_size, "min_size": 0, "min_extent": 0}
        labels, _ = bench.segment(volume, ledger, inference_plane=plane, **sizes)
        slices = np.moveaxis(labels, PLANES[plane].axis, 0)
        areas = np.concatenate([np.bincount(each.ravel())[1:] for each in slices])
        return int(areas[areas > 0].min())

    least = smallest(0)
    assert smallest(least) == least < smallest(least + 1)


def test_of_classes_no_slice_is_too_small(phantom: Volume, bench: Bench) -> None:
    ledger = MemoryLedger()
    whole, _ = bench.segment(phantom[:3], ledger, semantic_only=True)
    labels, _ = bench.segment(phantom[:3], ledger, semantic_only=True, min_slice_size=1 << 20)
    np.testing.assert_array_equal(labels, whole)
    assert whole.any()


def test_progress_runs_through_the_stages_and_never_back(phantom: Volume, bench: Bench) -> None:
    bench.segment(phantom[:, :30], inference_plane="xz", label_erosion=1)
    order = [Stage.INFER, Stage.GROUP, Stage.TRACK]
    ranks = [order.index(stage) for stage, _, _ in bench.steps]
    assert ranks == sorted(ranks)
    for stage in order:
        done = [each for step, each, _ in bench.steps if step is stage]
        totals = {total for step, _, total in bench.steps if step is stage}
        assert done == sorted(done)
        assert totals == {done[-1]}


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
def test_stacks_shorter_than_the_median_work(depth: int, plane: str, phantom: Volume, bench: Bench) -> None:
    volume = phantom[:depth, :40, :24]
    labels, found = bench.segment(volume, inference_plane=plane, median_slices=11, min_size=0, min_extent=0)
    assert labels.shape == volume.shape
    np.testing.assert_array_equal(found.objects.columns["volume_vx"], np.bincount(labels.ravel())[1:])


def test_black_and_white_volumes_are_taken(phantom: Volume, bench: Bench) -> None:
    volume = phantom[:3] > 120
    labels, found = bench.segment(volume)
    expected, grey = bench.segment(volume.astype(np.uint8) * 255)
    np.testing.assert_array_equal(labels, expected)
    table, values = found.objects.columns, grey.objects.columns
    for name in ("grey_mean", "grey_sd"):  # as uploaded: 0 and 1
        np.testing.assert_allclose(255 * table[name], values[name])


def test_with_classes_only_the_value_of_a_voxel_is_its_class(phantom: Volume, bench: Bench) -> None:
    labels, found = bench.segment(phantom, semantic_only=True)
    assert set(np.unique(labels)) == {0, 1}
    assert found.objects.columns["class_id"].tolist() == [1]
    assert found.objects.columns["volume_vx"].tolist() == [int(labels.sum())]


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
def test_slices_by_themselves_are_what_images_are(
    plane: str, phantom: Volume, bench: Bench, starter: tuple[ModelCard, Engine], tmp_path: Path
) -> None:
    volume = phantom[:, :24, 72:104]
    chosen: dict[str, Any] = {"fill_holes_in_segmentation": True, "min_size": 20}
    labels, found = bench.segment(volume, mode="slices", inference_plane=plane, **chosen)
    axis = ["xy", "xz", "yz"].index(plane)
    table, last = found.objects.columns, 0
    card, engine = starter
    for index, image in enumerate(np.moveaxis(volume, axis, 0)):
        with Workspace(tmp_path) as workspace:
            size = tuple(np.delete((24.0, 16.0, 16.0), axis))
            asked = Request2D(ArrayRows(image), size, Parameters(**chosen), card)
            alone = segment(asked, engine, workspace, lambda *_: None)
            expected = alone.labels.read(0, len(image)).astype(np.int64)
        expected[expected > 0] += last
        np.testing.assert_array_equal(np.moveaxis(labels, axis, 0)[index], expected)
        rows = table["slice"] == index
        np.testing.assert_array_equal(table["label"][rows], alone.objects.columns["label"] + last)
        np.testing.assert_array_equal(table["area_nm2"][rows], alone.objects.columns["area_nm2"])
        last += alone.labels.count
    assert found.labels.count == last == len(table["label"]) > 0
    assert ("bbox_z0_px" in table) == (plane != "xy")


def test_three_planes_agree_on_what_each_of_them_shows(phantom: Volume, bench: Bench) -> None:
    volume, ledger = phantom[:, :40, 72:112], MemoryLedger()
    labels, found = bench.segment(volume, ledger, mode="orthoplane", pixel_vote_thr=1, allow_one_view=True)
    some, _ = bench.segment(volume, ledger, mode="orthoplane", pixel_vote_thr=3)
    assert len(ledger.saved) == 3
    assert found.labels.count > 0
    assert 0 < np.count_nonzero(some) < np.count_nonzero(labels)
    assert np.all(labels[some > 0] > 0)
    np.testing.assert_array_equal(found.objects.columns["volume_vx"], np.bincount(labels.ravel())[1:])


def test_slices_that_share_a_batch_are_what_they_are_alone(
    phantom: Volume, starter: tuple[ModelCard, Engine], workspace: Workspace
) -> None:
    card, engine = starter
    source, plane = ArrayVolume(phantom), PLANES["xy"]
    values = look(ArrayRows(phantom[0]))
    asked = Request2D(ArrayRows(phantom[0]), None, Parameters(), card)
    alone = choose_look(asked, ArrayRows(phantom[0]), values, engine)
    inference = Inference(source, Parameters(), engine, workspace)
    seen: list[int] = []
    several = inference.records(plane, 0, 7, replace(alone, batch=4), seen.append)
    assert [each for each in seen if each] == [4, 3]
    for one, other in zip(
        inference.records(plane, 0, 7, alone, lambda _: None).slices, several.slices, strict=True
    ):
        same = np.unpackbits(one.evidence) == np.unpackbits(other.evidence)
        assert same.mean() >= 0.998  # PointRend's last points are chosen by rounding
        assert one.cells.shape == other.cells.shape


def test_ranges_are_whole_batches_and_cover_every_slice() -> None:
    for batch, pixels in ((1, 1), (8, 1), (8, 100 * 100 * 20), (4, 1 << 40)):
        parts = list(cut(PLANES["xz"], (100, 37, 100), batch, pixels))
        assert all(part.begin % batch == 0 for part in parts)
        edges = [0, *(part.end for part in parts)]
        assert edges[:-1] == [part.begin for part in parts]
        assert edges[-1] == 37
