"""Assignment: objects of one slice are paired with those of another, one to one."""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ROUNDING = 1e-12
_TIE = 1e-13  # far less than two ratios of pixel counts differ by, but more than rounding


def best_pairs(first: Integers, second: Integers, value: Floats) -> Mask:
    """Which of these pairs (first[i], second[i]) make a one-to-one pairing of the largest total value.

    `value` is above 0 and at most 1. Of pairings of equal value the one that takes earlier candidates wins.
    (The assignment problem that Kuhn's Hungarian method solves.)
    """
    chosen = np.zeros(len(value), np.bool_)
    left = np.arange(len(value))
    while len(left):
        sure = _sure(first[left], second[left], value[left])
        if not sure.any():
            break
        chosen[left[sure]] = True
        taken = np.isin(first[left], first[left[sure]]) | np.isin(second[left], second[left[sure]])
        left = left[~taken]
    if len(left):
        chosen[left[_solved(first[left], second[left], value[left])]] = True
    return chosen


def _sure(first: Integers, second: Integers, value: Floats) -> Mask:
    """Pairs worth more than the best others of both partners together: no best pairing lacks them."""
    return value > _best_other(first, value) + _best_other(second, value) + _ROUNDING


def _best_other(member: Integers, value: Floats) -> Floats:
    """Of each pair: the largest value among the other pairs of the same member, or 0."""
    order = np.lexsort((-value, member))
    begins = np.flatnonzero(np.diff(member[order], prepend=-1))
    sizes = np.diff(np.append(begins, len(order)))
    seconds = np.where(sizes > 1, value[order[np.minimum(begins + 1, len(order) - 1)]], 0.0)
    others = np.repeat(value[order[begins]], sizes)
    others[begins] = seconds
    result = np.empty(len(value))
    result[order] = others
    return result


def _place(member: Integers) -> Integers:
    """0, 1, … of each pair among those of the same member."""
    order = np.argsort(member, kind="stable")
    begins = np.flatnonzero(np.diff(member[order], prepend=-1))
    place = np.empty(len(member), np.int64)
    place[order] = np.arange(len(member)) - np.repeat(begins, np.diff(np.append(begins, len(member))))
    return place


def _solved(first: Integers, second: Integers, value: Floats) -> Integers:
    """Indices of the chosen pairs, by a shortest-path solver for sparse matrices."""
    rows, row = np.unique(first, return_inverse=True)
    columns, column = np.unique(second, return_inverse=True)
    # Each row may also take a column of its own that is worth nothing, so that a full matching exists.
    own = np.arange(len(rows))
    costs = np.concatenate([2 - value + _TIE * _place(second), np.full(len(rows), 2.0)])
    graph = coo_array(
        (costs, (np.concatenate([row, own]), np.concatenate([column, len(columns) + own]))),
        shape=(len(rows), len(columns) + len(rows)),
    ).tocsr()
    partner = np.full(len(rows), -1)
    matched_rows, matched_columns = min_weight_full_bipartite_matching(graph)
    partner[matched_rows] = matched_columns
    return np.flatnonzero(partner[row] == column)
