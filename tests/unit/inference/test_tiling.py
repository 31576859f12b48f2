"""Tiles cover the image, lie where users of the reference expect them, and blend without a seam."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.inference.blend import Blend
from workers.inference.tiling import Cut, tile_starts


@pytest.mark.parametrize(
    ("name", "height", "width", "size"),
    [
        ("1000x700_256", 1000, 700, 256),
        ("512x512_256", 512, 512, 256),
        ("300x421_256", 300, 421, 256),
        ("257x256_256", 257, 256, 256),
        ("5000x3000_2048", 5000, 3000, 2048),
        ("3000x1000_1024", 3000, 1000, 1024),
    ],
)
def test_tiles_lie_where_the_reference_puts_them(
    name: str, height: int, width: int, size: int, data: Path
) -> None:
    border = min(128, int(0.1 * size))  # the reference's
    ours = [
        (y, min(y + size, height), x, min(x + size, width))
        for x in tile_starts(width, size, border)
        for y in tile_starts(height, size, border)
    ]
    with np.load(data / "tiler.npz") as file:
        np.testing.assert_array_equal(ours, file[name])


@pytest.mark.parametrize("tile", [1024, 1280, 2048])
@pytest.mark.parametrize("length", [3000, 5000, 5001, 16384])
def test_large_tiles_lie_there_on_the_grid_of_the_network(length: int, tile: int) -> None:
    """Of the padded length, and rounded down."""
    axis = Cut(tile, 16, 16).axis(length)
    assert axis.length == -(-length // 16) * 16
    border = min(128, tile // 10)  # the reference's
    assert axis.starts == tuple(start // 16 * 16 for start in tile_starts(axis.length, tile, border))


def test_where_the_length_is_padded_the_last_tile_begins_after_the_references() -> None:
    assert tile_starts(5001, 1024, 102)[-1] == 3977
    assert Cut(1024, 16, 16).axis(5001).starts[-1] == 3984


@pytest.mark.parametrize(
    ("tile", "shared"), [(256, 128), (384, 192), (512, 204), (1024, 204), (1280, 256), (4096, 256)]
)
@pytest.mark.parametrize("length", [5000, 16384])
def test_neighbours_share_what_the_network_needs_to_see_however_small_they_are(
    tile: int, shared: int, length: int
) -> None:
    axis = Cut(tile, 16, 16).axis(length)
    starts = np.array(axis.starts)
    grid = 16  # starts are rounded down to it
    assert (starts[:-1] + axis.size - starts[1:]).min() > shared - grid


lengths = st.integers(1, 5000)
cuts = st.builds(
    Cut,
    tile=st.one_of(st.just(0), st.integers(256, 1500)),
    stride=st.sampled_from([16, 128]),
    padding=st.sampled_from([16, 128, 512]),
)


@given(lengths, cuts)
def test_every_pixel_lies_in_a_tile_that_the_network_can_take(length: int, cut: Cut) -> None:
    axis = cut.axis(length)
    covered = np.zeros(axis.length, np.bool_)
    for start in axis.starts:
        assert 0 <= start <= axis.length - axis.size
        covered[start : start + axis.size] = True
    assert covered.all()
    assert axis.length >= length
    assert axis.size % cut.stride == 0 or axis.size % cut.padding == 0
    assert list(axis.starts) == sorted(set(axis.starts))


@given(lengths, cuts)
def test_the_weights_of_a_pixel_add_up_to_one(length: int, cut: Cut) -> None:
    axis = cut.axis(length)
    total = np.zeros(axis.length)
    for start, weights in zip(axis.starts, axis.weights(), strict=True):
        assert weights.min() >= 0
        total[start : start + axis.size] += weights
    np.testing.assert_allclose(total, 1, atol=1e-5)


@given(st.integers(1, 900), st.integers(1, 900), st.integers(256, 400))
def test_what_is_cut_into_tiles_comes_back_whole(height: int, width: int, tile: int) -> None:
    cut = Cut(tile, 16, 16)
    rows, columns = cut.axis(height), cut.axis(width)
    image = np.random.default_rng(height * width).random((1, rows.length, columns.length), np.float32)
    blend, bands, by_row, by_column = (
        Blend(1, rows.size, columns.length),
        [],
        rows.weights(),
        columns.weights(),
    )
    for i, y in enumerate(rows.starts):
        for j, x in enumerate(columns.starts):
            values = image[:, y : y + rows.size, x : x + columns.size]
            blend.add((y, x), values, (by_row[i], by_column[j]))
        until = [*rows.starts[1:], rows.length][i]
        bands.append(blend.rows(y, until).copy())
        blend.drop(until)
    np.testing.assert_allclose(np.concatenate(bands, axis=1), image, atol=1e-5)
