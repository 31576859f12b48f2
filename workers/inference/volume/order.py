"""In which order the nodes of a graph are looked at, where it decides between equals."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


def reference_order(group: Integers, first: Integers, second: Integers) -> Integers:
    """All nodes, group after group, and those of a group in the order in which the reference takes them.

    `group` (n,) is the connected component of each node, 0, 1, … in the order of their first nodes; node
    `first[i]` is tied to `second[i]`, each pair once.

    The reference keeps a group of less than half of all nodes as a set, filled as a breadth-first search
    comes to them, and goes through it in the order in which Python gives a set of integers back.
    """
    by_group = np.argsort(group, kind="stable")
    edges = np.flatnonzero(np.diff(group[by_group], prepend=-1, append=-1))
    tied = _tied(first, second, len(group))
    order: list[int] = []
    for begin, end in pairwise(edges.tolist()):
        nodes = by_group[begin:end].tolist()
        if 2 * len(nodes) < len(group):
            found = _search(nodes[0], tied)
            nodes = list(set(iter(found)))  # filled one by one: how a set grew is part of its order
        order += nodes
    return np.array(order, np.int64)


def _tied(first: Integers, second: Integers, count: int) -> list[list[int]]:
    """The nodes that each node is tied to, in ascending order."""
    one, other = np.concatenate([first, second]), np.concatenate([second, first])
    others = other[np.lexsort((other, one))].tolist()
    ends = np.cumsum(np.bincount(one, minlength=count)).tolist()
    return [others[begin:end] for begin, end in pairwise([0, *ends])]


def _search(first: int, tied: list[list[int]]) -> set[int]:
    """All nodes that ties lead to from `first`, near ones added before far ones."""
    found, front = {first}, [first]
    while front:
        beyond = []
        for node in front:
            for other in tied[node]:
                if other not in found:
                    found.add(other)
                    beyond.append(other)
        front = beyond
    return found
