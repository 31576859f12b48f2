"""Marching cubes of yes-or-no volumes: how much surface runs through a cube of eight voxels.

(Lorensen & Cline, SIGGRAPH 1987.) The surface crosses the cube's edges half way between a voxel of the object
and one outside. On each face crossings are joined to segments, the segments to loops, and a loop is cut
into triangles. Where a face has two voxels of the object at opposite corners, these hold together.
"""

from collections.abc import Iterator
from functools import cache
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

Triangle = tuple[int, int, int]
_CORNERS = list(product((0, 1), repeat=3))
"""z, y, x of each; corner number c is bit c of a cube's number."""
_EDGES = [(a, b) for a, b in combinations(range(8), 2) if (a ^ b).bit_count() == 1]
_FACES = [
    [
        next(c for c, at in enumerate(_CORNERS) if (at[axis], at[u], at[v]) == (side, *place))
        for place in square
    ]
    for axis, u, v in ((0, 1, 2), (1, 0, 2), (2, 0, 1))
    for side in (0, 1)
    for square in [((0, 0), (0, 1), (1, 1), (1, 0))]
]
"""Corners of each face, going round."""


@cache
def cube_areas(spacing: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """(256,) area of the surface in a cube, by the cube's number; `spacing` is that of z, y and x.

    Of the ways to cut a loop into triangles that give most area for cubes of equal sides it is the mean.
    """
    areas = np.zeros(256)
    for cube in range(1, 255):
        areas[cube] = sum(_loop_area(loop, spacing) for loop in _loops(cube))
    return areas


def _loop_area(loop: list[int], spacing: tuple[float, float, float]) -> float:
    ways = list(_triangulations(tuple(loop)))
    even = np.array([_area(way, (1.0, 1.0, 1.0)) for way in ways])
    largest = [way for way, area in zip(ways, even, strict=True) if area >= even.max() - 1e-9]
    return float(np.mean([_area(way, spacing) for way in largest]))


def _area(triangles: list[Triangle], spacing: tuple[float, float, float]) -> float:
    corners = np.array(_CORNERS, np.float64) * spacing
    middles = np.array([(corners[a] + corners[b]) / 2 for a, b in _EDGES])
    a, b, c = (middles[list(each)] for each in zip(*triangles, strict=True))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _loops(cube: int) -> Iterator[list[int]]:
    """Edges that the surface crosses, loop by loop, each loop in order."""
    following: dict[int, list[int]] = {}
    for one, other in _segments(cube):
        following.setdefault(one, []).append(other)
        following.setdefault(other, []).append(one)
    while following:
        edge = next(iter(following))
        loop = []
        while edge in following:
            loop.append(edge)
            neighbours = following.pop(edge)
            edge = next((each for each in neighbours if each in following), -1)
        yield loop


def _segments(cube: int) -> Iterator[tuple[int, int]]:
    """Pairs of crossed edges that a face joins."""
    for face in _FACES:
        inside = [bool(cube >> corner & 1) for corner in face]
        edges = [_EDGES.index((min(pair), max(pair))) for pair in zip(face, face[1:] + face[:1], strict=True)]
        crossed = [n for n in range(4) if inside[n] != inside[(n + 1) % 4]]
        if len(crossed) == 2:
            yield edges[crossed[0]], edges[crossed[1]]
        elif len(crossed) == 4:  # segments go round the corners outside, so that those inside hold together
            first = 1 if inside[0] else 0
            for corner in (first, first + 2):
                yield edges[(corner - 1) % 4], edges[corner]


def _triangulations(loop: tuple[int, ...]) -> Iterator[list[Triangle]]:
    """All ways to cut a loop into triangles."""
    if len(loop) < 3:
        yield []
        return
    for apex in range(1, len(loop) - 1):
        for left in _triangulations(loop[: apex + 1]):
            for right in _triangulations(loop[apex:]):
                yield [*left, (loop[0], loop[apex], loop[-1]), *right]
