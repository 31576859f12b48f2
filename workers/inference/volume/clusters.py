"""Clusters: which objects of three stacks are one object."""

from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from emserve.params import Parameters
from workers.inference.volume.order import reference_order

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STRONG_IOU = 0.75
"""Objects of two stacks whose intersection is more than this of their union are one without question."""
WEAK_IOU, WEAK_OVERLAP = 0.01, 100
"""What shares more than this of its union, or more voxels than this, has to do with each other."""


@dataclass(frozen=True)
class Rule:
    """What counts as agreement."""

    votes: int
    """Stacks in which a voxel must belong to an object."""
    smallest: int
    """Stacks in which an object must be."""
    things: frozenset[int]
    """Classes that have instances; of the others votes alone decide."""
    min_size: int = 0
    """Instances of fewer voxels are dropped before it is decided whose a voxel is that two have."""

    @classmethod
    def of(cls, params: Parameters, things: frozenset[int], stacks: int) -> "Rule":
        smallest = 1 if params.allow_one_view else stacks // 2 + 1
        return cls(params.pixel_vote_thr, smallest, things, params.min_size or 0)

    @property
    def strong_iou(self) -> float:
        """Where fewer votes are wanted than stacks, whatever touches is one."""
        return 0.0 if self.votes < self.smallest else STRONG_IOU


@dataclass(frozen=True)
class Ties:
    """Pairs of nodes (objects of different stacks, numbered from 0) that share voxels."""

    first: Integers
    second: Integers
    overlap: Integers
    """Voxels that both have."""
    iou: Floats


@dataclass(frozen=True)
class Instances:
    """What nodes were made to; a node may be a member of several instances."""

    node: Integers
    instance: Integers
    """The instance, from 0, of each membership; ascending."""

    @property
    def count(self) -> int:
        return int(self.instance.max(initial=-1)) + 1

    def members(self) -> tuple[Integers, Integers]:
        """Of each instance: the first of its memberships, and how many there are."""
        sizes = np.bincount(self.instance, minlength=self.count)
        return np.cumsum(sizes) - sizes, sizes


def cluster(nodes: int, ties: Ties, rule: Rule) -> Instances:
    """Instances of enough nodes, of nodes that are tied to as many.

    Strongly tied nodes are one cluster. A cluster with weak ties to others gives its nodes to all of them
    where one of them is larger, and takes them in where none is: the one with most neighbours first. As in
    the reference, what is taken in loses its ties to others.
    """
    group = _components(nodes, ties.first, ties.second)
    order = reference_order(group, ties.first, ties.second)
    rank = np.empty(nodes, np.int64)
    rank[order] = np.arange(nodes)
    found = _clustered(replace(ties, first=rank[ties.first], second=rank[ties.second]), group[order], rule)
    return Instances(order[found.node], found.instance)


def _clustered(ties: Ties, group: Integers, rule: Rule) -> Instances:
    """As `cluster`, of nodes in the order that decides between equals; each group's follow each other."""
    strong = ties.iou > rule.strong_iou
    of_node = _components(len(group), ties.first[strong], ties.second[strong])
    wanted = np.flatnonzero(np.bincount(group)[group] >= rule.smallest)
    members: list[dict[int, None]] = [{} for _ in range(int(of_node.max(initial=-1)) + 1)]  # ordered sets
    for node, index in zip(wanted.tolist(), of_node[wanted].tolist(), strict=True):
        members[index][node] = None
    for tied in _neighbourhoods(*_neighbours(of_node, ties)):
        _settle(tied, members)
    kept = [each for each in members if len(each) >= rule.smallest]
    nodes = [node for each in kept for node in each]
    return Instances(np.array(nodes, np.int64), np.repeat(np.arange(len(kept)), [len(each) for each in kept]))


def _components(nodes: int, first: Integers, second: Integers) -> Integers:
    """(nodes,) component of each, in the order of their first nodes."""
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def _neighbours(of_node: Integers, ties: Ties) -> tuple[Integers, Integers]:
    """Pairs of clusters that weak ties join, by their mean over all pairs of nodes."""
    sizes = np.bincount(of_node)
    pair = np.sort(np.stack([of_node[ties.first], of_node[ties.second]]), axis=0)
    apart = pair[0] != pair[1]
    codes, number = np.unique(pair[0, apart] * len(sizes) + pair[1, apart], return_inverse=True)
    first, second = np.divmod(codes, len(sizes))
    pairs = sizes[first] * sizes[second]
    iou = np.bincount(number, ties.iou[apart], len(codes)) / pairs
    overlap = np.bincount(number, ties.overlap[apart], len(codes)) / pairs
    near = (iou > WEAK_IOU) | (overlap > WEAK_OVERLAP)
    return first[near], second[near]


def _neighbourhoods(first: Integers, second: Integers) -> list[dict[int, set[int]]]:
    """The neighbours of each cluster that has any, in ascending order; apart where no path leads across."""
    size = int(second.max(initial=-1)) + 1  # the second of a pair is the larger
    of_cluster = _components(size, first, second).tolist()
    apart: dict[int, dict[int, set[int]]] = {}
    for cluster in np.unique([first, second]).tolist():
        apart.setdefault(of_cluster[cluster], {})[cluster] = set()
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        neighbours = apart[of_cluster[one]]
        neighbours[one].add(other)
        neighbours[other].add(one)
    return list(apart.values())


def _settle(neighbours: dict[int, set[int]], members: list[dict[int, None]]) -> None:
    """Changes `members` until no cluster has a neighbour."""
    # Most neighbours first, of equals the first. Where a number of neighbours has become less, it is noted
    # anew, and the older note passed over.
    notes = [(-len(others), each) for each, others in neighbours.items()]
    heapify(notes)
    while notes:
        noted, hub = heappop(notes)
        if noted == 0 or -noted != len(neighbours.get(hub, ())):
            continue
        around = sorted(neighbours[hub], key=lambda each: (-len(members[each]), each))
        if len(members[around[0]]) > len(members[hub]):
            for each in around:
                members[each] |= members[hub]
            gone = [hub]
        else:
            for each in around:
                members[hub] |= members[each]
            gone = around
        for each in gone:
            members[each] = {}
            for other in neighbours.pop(each):
                neighbours[other].discard(each)
                heappush(notes, (-len(neighbours[other]), other))
