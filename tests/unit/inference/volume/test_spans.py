"""Runs of labels: their overlaps, their places in space, and how objects are paired."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from tests.volumes import everything, pieces, tracked
from workers.inference.rows import Workspace
from workers.inference.volume.assignment import best_pairs
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.plane import PLANES
from workers.inference.volume.span_volume import SpanFile
from workers.inference.volume.spans import find_overlaps, find_spans, paint
from workers.inference.volume.tracking import Tracker, Tracks
from workers.inference.volume.turning import upright
from workers.inference.volume.voting import find_shared, voted

Labels = NDArray[Any]


def noise(shape: tuple[int, ...], seed: int, labels: int = 6) -> Labels:
    """Labels in short runs, many of which touch the borders."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, labels + 1, (*shape[:-1], -(-shape[-1] // 3)))
    return coarse.repeat(3, axis=-1)[..., : shape[-1]].astype(np.uint32)


def test_overlaps_are_counted_pixel_by_pixel() -> None:
    first, second = noise((40, 50), 1), noise((40, 50), 2)
    found = find_overlaps(find_spans(first), find_spans(second))
    both = (first > 0) & (second > 0)
    pairs, sizes = np.unique(np.stack([first[both], second[both]]), axis=1, return_counts=True)
    np.testing.assert_array_equal([found.first, found.second, found.size], [*pairs, sizes])


@pytest.mark.parametrize("votes", [1, 2, 3])
def test_votes_are_counted_pixel_by_pixel_and_rows_end_where_they_end(votes: int) -> None:
    views = [noise((20, 16), seed, labels=3) for seed in (1, 2, 3)]
    spans = [find_spans(view) for view in views]
    all_spans = type(spans[0])(
        *(np.concatenate([getattr(each, key) for each in spans]) for key in ("owner", "begin", "end"))
    )
    found = voted(all_spans, votes, 16)
    assert np.all(found.begin // 16 == (found.end - 1) // 16)
    for label in (1, 2, 3):
        expected = sum((view == label).astype(int) for view in views) >= votes
        own = found.owner == label
        painted = paint(type(found)(found.owner[own], found.begin[own], found.end[own]), (20, 16)) > 0
        np.testing.assert_array_equal(painted, expected)


def test_what_overlapping_owners_share_is_counted() -> None:
    first, second = noise((12, 20), 4, labels=2), noise((12, 20), 5, labels=2)
    spans, others = find_spans(first), find_spans(second)
    joined = type(spans)(
        np.concatenate([spans.owner, others.owner + 2]),
        np.concatenate([spans.begin, others.begin]),
        np.concatenate([spans.end, others.end]),
    )
    found = find_shared(joined)
    table = {(int(a), int(b)): int(size) for a, b, size in zip(*found, strict=True)}
    for a in (1, 2):
        for b in (1, 2):
            assert table.get((a, b + 2), 0) == np.count_nonzero((first == a) & (second == b))


@pytest.mark.parametrize("plane", ["xy", "xz", "yz"])
@pytest.mark.parametrize("shape", [(5, 6, 7), (40, 70, 35), (1, 1, 9), (3, 80, 1)])
def test_slices_of_any_plane_find_their_place_also_where_runs_meet_at_row_ends(
    plane: str, shape: tuple[int, int, int], workspace: Workspace
) -> None:
    labels = noise(shape, 7)
    labels[..., -1] = labels[..., 0]  # runs that end a row and runs that begin the next are of one label
    along = PLANES[plane]
    file = SpanFile(workspace.spool("given", SpanFile.dtype))
    for piece in np.moveaxis(labels, along.axis, 0)[::-1]:
        file.append(find_spans(np.ascontiguousarray(piece)))
    names, class_ids = np.arange(7, dtype=np.uint32), np.ones(7, np.uint8)
    volume = upright(Tracks(file, names, class_ids, np.ones(7)), along, shape, workspace, lambda: None)
    np.testing.assert_array_equal(everything(Labelled(volume, class_ids, np.ones(7))), labels)


@pytest.mark.parametrize("seed", range(6))
def test_objects_are_paired_for_the_largest_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((30, 25)) < 0.15, rng.random((30, 25)), 0)
    first, second = np.nonzero(values)
    chosen = best_pairs(first, second, values[first, second])
    rows, columns = linear_sum_assignment(values, maximize=True)
    assert values[first[chosen], second[chosen]].sum() == pytest.approx(values[rows, columns].sum())
    assert len(set(first[chosen])) == len(set(second[chosen])) == chosen.sum()


def test_seventy_thousand_objects_keep_their_ids(workspace: Workspace) -> None:
    side = 3 * 265
    y, x = np.indices((side, side))
    plane = np.where((y % 3 > 0) & (x % 3 > 0), 1 + (y // 3) * 265 + x // 3, 0)
    tracker, objects = Tracker(workspace, "xy", frozenset({1})), pieces(plane, plane > 0)
    for _ in range(3):
        names = tracker.add(objects, np.ones(objects.count + 1, np.float32))
        np.testing.assert_array_equal(names, np.arange(265**2 + 1))
    tracks = tracker.finish(lambda: None)
    volume = upright(tracks, PLANES["xy"], (3, side, side), workspace, lambda: None)
    np.testing.assert_array_equal(volume.read(0, 3), np.stack([plane] * 3))


def test_an_object_that_ends_and_comes_again_is_two(workspace: Workspace) -> None:
    labels = np.zeros((5, 8, 8), np.uint32)
    labels[[0, 1, 3, 4], 2:6, 2:6] = 1
    _, found = tracked(labels, labels > 0, frozenset({1}), workspace)
    assert [int(each.max()) for each in everything(found)] == [1, 1, 0, 2, 2]
