"""Consensus: objects on which stacks along different axes agree."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from workers.inference.rows import Workspace
from workers.inference.volume.clusters import WEAK_IOU, WEAK_OVERLAP, Instances, Rule, Ties, cluster
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.plane import Shape
from workers.inference.volume.span_volume import SpanFile, SpanVolume
from workers.inference.volume.spans import (
    Integers,
    Spans,
    find_overlaps,
    find_spans,
    join_spans,
    paint,
    ranges,
)
from workers.inference.volume.tracking import OnSlice
from workers.inference.volume.voting import OverlapSums, find_shared, union_of, voted

Floats = npt.NDArray[np.float64]

CONSENSUS_PASSES = 3
"""How often `agree` calls `on_slice` for each xy slice."""


def agree(stacks: Sequence[Labelled], rule: Rule, workspace: Workspace, on_slice: OnSlice) -> Labelled:
    """The objects on which stacks (Z, Y, X) agree, in no particular order."""
    nodes = _Nodes(stacks)
    instances = _instances(nodes, nodes.ties(on_slice), rule)
    ballot = _Ballot(nodes, instances, rule, workspace)
    for z in range(nodes.shape[0]):
        ballot.add(z)
        on_slice()
    final = ballot.joined()
    file = SpanFile(workspace.spool("consensus", SpanFile.dtype))
    for z in range(nodes.shape[0]):
        file.append(_flat(ballot.file.read(z), final, nodes.shape))
        on_slice()
    workspace.remove(ballot.file.spool)
    return nodes.labelled(file, instances, final)


class _Nodes:
    """The objects of all stacks, numbered from 0, stack by stack."""

    def __init__(self, stacks: Sequence[Labelled]) -> None:
        self._stacks = stacks
        counts = [len(each.class_ids) - 1 for each in stacks]
        self._firsts = np.cumsum([0, *counts[:-1]])
        self.count = sum(counts)
        self.class_ids = np.concatenate([each.class_ids[1:] for each in stacks])
        self._confidence = np.concatenate([each.confidence[1:] for each in stacks])
        self.sizes = np.zeros(self.count, np.int64)

    @property
    def shape(self) -> Shape:
        return self._stacks[0].volume.shape

    def slice(self, z: int) -> list[Spans]:
        """The nodes of each stack in an xy slice."""
        spans = (each.volume.slice(z) for each in self._stacks)
        pairs = zip(spans, self._firsts, strict=True)
        return [Spans(each.owner - 1 + first, each.begin, each.end) for each, first in pairs]

    def ties(self, on_slice: OnSlice) -> Ties:
        """Nodes of one class that share voxels; counts the voxels of each node on the way."""
        sums = OverlapSums()
        for z in range(self.shape[0]):
            views = self.slice(z)
            for index, view in enumerate(views):
                np.add.at(self.sizes, view.owner, view.length)
                for other in views[index + 1 :]:
                    sums.add(find_overlaps(view, other))
            on_slice()
        found = sums.total()
        found = found.only(self.class_ids[found.first] == self.class_ids[found.second])
        return Ties(found.first, found.second, found.size, found.size / union_of(found, self.sizes))

    def labelled(self, file: SpanFile, instances: Instances, final: Integers) -> Labelled:
        """Objects of a file whose owners are the `final` labels of instances."""
        n = int(final.max(initial=0))
        label = final[instances.instance]  # what belongs to 0 is taken out again
        class_ids, confidence = np.zeros(n + 1, np.uint8), np.full(n + 1, np.nan)
        class_ids[label] = self.class_ids[instances.node]
        seen = np.isfinite(self._confidence[instances.node])
        weights = np.bincount(label[seen], self.sizes[instances.node[seen]], n + 1)
        heights = self.sizes[instances.node[seen]] * self._confidence[instances.node[seen]]
        sums = np.bincount(label[seen], heights, n + 1)
        np.divide(sums, weights, out=confidence, where=weights > 0)
        class_ids[0], confidence[0] = 0, np.nan
        return Labelled(SpanVolume.of(self.shape, file, n), class_ids, confidence)


def _instances(nodes: _Nodes, ties: Ties, rule: Rule) -> Instances:
    """Clusters of things; of each other class all nodes are one instance."""
    found = cluster(nodes.count, ties, rule)
    is_thing = np.isin(nodes.class_ids, list(rule.things))
    kept = is_thing[found.node]
    instance = np.unique(found.instance[kept], return_inverse=True)[1]
    stuff = np.flatnonzero(~is_thing)
    classes = np.unique(nodes.class_ids[stuff], return_inverse=True)[1]
    order = np.argsort(classes, kind="stable")
    first = int(instance.max(initial=-1)) + 1
    return Instances(
        np.concatenate([found.node[kept], stuff[order]]), np.concatenate([instance, first + classes[order]])
    )


class _Ballot:
    """Counts the votes of each instance's nodes, slice by slice."""

    def __init__(self, nodes: _Nodes, instances: Instances, rule: Rule, workspace: Workspace) -> None:
        self._nodes, self._instances, self._rule = nodes, instances, rule
        self._by_node = np.argsort(instances.node, kind="stable")
        self._memberships = np.bincount(instances.node, minlength=nodes.count)
        self._firsts = np.cumsum(self._memberships) - self._memberships
        self._sizes = np.zeros(instances.count, np.int64)
        self._shared = OverlapSums()
        self.file = SpanFile(workspace.spool("ballot", SpanFile.dtype))
        """Of each slice what the instances have, instance by instance; they may overlap."""

    def add(self, z: int) -> None:
        """Counts an xy slice."""
        spans = join_spans(self._nodes.slice(z))
        count = self._memberships[spans.owner]
        which = np.repeat(np.arange(len(spans)), count)
        membership = self._by_node[ranges(self._firsts[spans.owner], count)]
        ballots = Spans(self._instances.instance[membership], spans.begin[which], spans.end[which])
        elected = voted(ballots, self._rule.votes, self._nodes.shape[2])
        np.add.at(self._sizes, elected.owner, elected.length)
        self._shared.add(find_shared(elected))
        self.file.append(elected)

    def joined(self) -> Integers:
        """(instances,) label, from 1, of each instance; that of small ones is 0."""
        shared, count = self._shared.total(), self._instances.count
        class_ids = np.zeros(count, np.uint8)
        class_ids[self._instances.instance] = self._nodes.class_ids[self._instances.node]
        iou = shared.size / union_of(shared, self._sizes)
        same = class_ids[shared.first] == class_ids[shared.second]
        near = shared.only(same & ((iou > WEAK_IOU) | (shared.size > WEAK_OVERLAP)))
        graph = coo_array((np.ones(len(near.size), np.int8), (near.first, near.second)), shape=(count, count))
        label = connected_components(graph, directed=False)[1].astype(np.int64)
        sizes = np.bincount(label, self._sizes, count)  # what two instances share counts twice
        kept = (sizes > 0) & (sizes >= self._rule.min_size)
        return np.where(kept[label], np.cumsum(kept)[label], 0)


def _flat(spans: Spans, final: Integers, shape: Shape) -> Spans:
    """Spans of labels that do not overlap: where some do, the later label is seen, as in the reference."""
    label = final[spans.owner]
    order = np.argsort(label, kind="stable")
    order = order[label[order] > 0]
    return find_spans(paint(Spans(label[order], spans.begin[order], spans.end[order]), shape[1:]))
