"""A tile is shown to the network as the part of its image that it is."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - the name that every torch user knows

from workers.models.place import Place, enlarge
from workers.models.point_rend import REFINED_POINTS, share_of_points

STRIDE = 16


@pytest.fixture
def maps() -> torch.Tensor:
    return torch.randn((1, 3, 40, 56), generator=torch.Generator().manual_seed(1))


def test_a_whole_is_enlarged_with_its_corners_aligned(maps: torch.Tensor) -> None:
    enlarged = enlarge(maps, (160, 224), STRIDE, [Place.whole(640, 896)])
    expected = F.interpolate(maps, size=(160, 224), mode="bilinear", align_corners=True)
    torch.testing.assert_close(enlarged, expected, atol=1e-4, rtol=0)


def test_tiles_of_one_batch_get_the_values_that_the_whole_has_in_their_places(maps: torch.Tensor) -> None:
    whole = enlarge(maps, (160, 224), STRIDE, [Place.whole(640, 896)])[0]
    corners = [(0, 0), (13, 7), (20, 36)]
    tiles = torch.cat([maps[:, :, y : y + 20, x : x + 20] for y, x in corners])
    places = [Place(y * STRIDE, x * STRIDE, 640, 896) for y, x in corners]
    enlarged = enlarge(tiles, (80, 80), STRIDE, places)
    for tile, (y, x) in zip(enlarged, corners, strict=True):
        inside = whole[:, 4 * y + 4 : 4 * y + 76, 4 * x + 4 : 4 * x + 76]  # what no neighbour adds to
        torch.testing.assert_close(tile[:, 4:76, 4:76], inside, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_a_map_of_one_point_is_the_same_everywhere(shape: tuple[int, int]) -> None:
    maps = torch.full((2, 1, *shape), 3.0)
    size = (4 * shape[0], 4 * shape[1])
    places = [Place.whole(STRIDE * shape[0], STRIDE * shape[1])] * 2
    torch.testing.assert_close(enlarge(maps, size, STRIDE, places), torch.full((2, 1, *size), 3.0))


def test_points_are_as_dense_in_a_tile_as_in_its_image_and_in_large_images_as_in_small_ones() -> None:
    assert share_of_points(300 * 421, 300 * 421) == REFINED_POINTS
    assert share_of_points(1024 * 1024, 1024 * 1024) == REFINED_POINTS
    assert share_of_points(512 * 512, 1024 * 1024) == REFINED_POINTS // 4
    assert share_of_points(2048 * 2048, 2048 * 2048) == 4 * REFINED_POINTS
    assert share_of_points(1024 * 1024, 16384 * 16384) == REFINED_POINTS
    assert share_of_points(16, 16384 * 16384) == 1
