"""Grouping: each foreground pixel goes to the centre that its offset points nearest to."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

_NEAR_TIE = 1e-5  # relative; distances closer than this are compared again, in float32


@dataclass(frozen=True)
class Votes:
    """Where the pixels of the heads' grid think that their object's centre is."""

    centres: npt.NDArray[np.intp]
    """(K, 2) positions (y, x) of the centres on the grid."""
    offsets: npt.NDArray[np.float32]
    """(2, h, w) dy, dx in pixels of the network's input."""
    step: int
    """Pixels of the network's input per grid point."""


def group(votes: Votes, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """(h, w) number of the nearest centre, 1 to K, at the grid points that are `wanted`; 0 elsewhere.

    Of centres equally near the first wins. A spatial index makes the cost independent of K.
    (Panoptic-DeepLab, equation 1.)
    """
    ids = np.zeros(wanted.shape, np.uint32)
    if len(votes.centres) == 0:
        return ids
    points = np.argwhere(wanted)
    voted = votes.step * points.astype(np.float32) + votes.offsets[:, wanted].T  # (P, 2)
    ids[wanted] = 1 + _nearest(votes.step * votes.centres.astype(np.float32), voted)
    return ids


def _nearest(centres: npt.NDArray[np.float32], points: npt.NDArray[np.float32]) -> npt.NDArray[np.intp]:
    """(P,) index of the centre (K, 2) nearest to each point (P, 2)."""
    if len(centres) == 1:
        return np.zeros(len(points), np.intp)
    tree = KDTree(centres)
    distances, nearest = (np.asarray(each) for each in tree.query(points, k=2))
    result: npt.NDArray[np.intp] = nearest[:, 0]
    tied = np.flatnonzero(distances[:, 1] - distances[:, 0] <= _NEAR_TIE * distances[:, 1])
    reach = distances[tied, 1] * (1 + _NEAR_TIE)
    for index, rivals in zip(tied, tree.query_ball_point(points[tied], reach), strict=True):
        result[index] = _first_nearest(centres, points[index], np.sort(np.asarray(rivals, np.intp)))
    return result


def _first_nearest(
    centres: npt.NDArray[np.float32], point: npt.NDArray[np.float32], rivals: npt.NDArray[np.intp]
) -> np.intp:
    """Of the `rivals`, in ascending order, the first of those nearest in float32."""
    away = centres[rivals] - point
    winner: np.intp = rivals[np.argmin(np.sqrt(away[:, 0] ** 2 + away[:, 1] ** 2))]
    return winner
