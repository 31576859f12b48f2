"""Grouping: each foreground pixel goes to the centre that its offset points nearest to."""

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

_FARTHEST = float(1 << 14)  # pixels; the side of the largest tile, beyond which no network sees
_REACH = 512  # pixels; few points of a band have their centre farther above or below it
_NEAR_TIE = 1e-5  # relative; distances closer than this are compared again, in float32


class Grouping:
    """The centres of one image, found by their place. (Panoptic-DeepLab, equation 1.)

    A spatial index makes the cost of a pixel independent of the number of centres.
    """

    def __init__(self, centres: npt.NDArray[np.intp], step: int) -> None:
        """`centres` (K, 2) are y, x on a grid with `step` pixels of the network's input a point."""
        self._step = step
        self._centres = step * centres.astype(np.float32)
        self._tree = KDTree(self._centres) if len(centres) > 1 else None

    def group(
        self, offsets: npt.NDArray[np.float32], wanted: npt.NDArray[np.bool_], y0: int = 0
    ) -> npt.NDArray[np.uint32]:
        """(h, w) number of the nearest centre, 1 to K, at the grid points that are `wanted`; 0 elsewhere.

        `offsets` (2, h, w) are dy, dx in pixels of the network's input, of a band of the grid that begins at
        row `y0`. Of centres equally near the first wins. Without any centre all is 0.

        A network gone mad harms no more than the pixels in question: an offset that is NaN or infinite
        counts as 0, and one beyond 16384 pixels as 16384.
        """
        ids = np.zeros(wanted.shape, np.uint32)
        if len(self._centres) == 0:
            return ids
        points = np.argwhere(wanted)
        if len(points) == 0:
            return ids
        grid = (points + np.array([y0, 0])).astype(np.float32)
        ids[wanted] = 1 + self._nearest(self._step * grid + _sane(offsets[:, wanted]).T)
        return ids

    def _nearest(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
        """(P,) index of the centre nearest to each point (P, 2)."""
        if self._tree is None:
            return np.zeros(len(points), np.intp)
        distances, nearest = self._two_nearest(self._tree, points)
        result: npt.NDArray[np.intp] = nearest[:, 0]
        tied = np.flatnonzero(distances[:, 1] - distances[:, 0] <= _NEAR_TIE * distances[:, 1])
        reach = distances[tied, 1] * (1 + _NEAR_TIE)
        for index, rivals in zip(tied, self._tree.query_ball_point(points[tied], reach), strict=True):
            result[index] = self._first_nearest(points[index], np.sort(np.asarray(rivals, np.intp)))
        return result

    def _two_nearest(
        self, tree: KDTree, points: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
        """(P, 2) distances and indices of the two centres nearest to each point.

        Most points of a band find theirs near by, among few centres; the others ask the whole `tree`.
        """
        rows = self._centres[:, 0]  # ascending
        lowest, highest = points[:, 0].min() - _REACH, points[:, 0].max() + _REACH
        begin, end = (int(each) for each in np.searchsorted(rows, (lowest, highest)))
        some = KDTree(self._centres[begin:end]) if 2 <= end - begin < len(rows) else tree
        distances, nearest = (np.asarray(each) for each in some.query(points, k=2))
        if some is not tree:
            nearest += begin
            far = distances[:, 1] > _REACH / 2  # any centre that was left out is farther than the reach
            if far.any():
                distances[far], nearest[far] = tree.query(points[far], k=2)
        return distances, nearest

    def _first_nearest(self, point: npt.NDArray[np.float32], rivals: npt.NDArray[np.intp]) -> np.intp:
        """Of the `rivals`, in ascending order, the first of those nearest in float32."""
        away = self._centres[rivals] - point
        winner: np.intp = rivals[np.argmin(np.sqrt(away[:, 0] ** 2 + away[:, 1] ** 2))]
        return winner


def _sane(offsets: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """`offsets` changed in place to finite ones, none of them too long to be compared in float32."""
    finite = np.isfinite(offsets)
    if not finite.all():
        offsets[~finite] = 0
    return np.clip(offsets, -_FARTHEST, _FARTHEST, out=offsets)
