"""Refinement: small objects go, objects are eroded and dilated, their holes are filled."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from emserve.params import Parameters
from workers.inference.holes import fill_holes
from workers.inference.merge import Merged
from workers.inference.rows import Workspace
from workers.inference.volume.components import Components3D
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.morphology import LAYERS_AT_ONCE, Slabs, dilated, eroded
from workers.inference.volume.span_volume import SpanFile, SpanVolume
from workers.inference.volume.spans import Labels, Spans, find_spans, paint
from workers.inference.volume.survey import large_enough, survey
from workers.inference.volume.tracking import OnSlice


def drop_small(found: Labelled, params: Parameters, on_slice: OnSlice) -> Labelled:
    """Without objects of fewer than `min_size` voxels or with a side of their box under `min_extent`.

    `on_slice` is called after each slice.
    """
    sizes = survey(found.volume, found.count, on_slice)
    return found.only(large_enough(sizes, params.min_size or 0, params.min_extent or 0))


def refine(found: Labelled, params: Parameters, workspace: Workspace, on_slice: OnSlice) -> Labelled:
    """Objects reshaped as `params` say, without small ones; by class, then by first voxel.

    Where objects change their shape, each 26-connected component is an object of its own from then on.
    `on_slice` is called after each slice of each pass.
    """
    reshaping = _Reshaping(workspace, on_slice)
    if params.label_erosion:
        found = reshaping.spread(found, eroded, params.label_erosion)
    if params.label_dilation:
        found = reshaping.spread(found, dilated, params.label_dilation)
    if params.fill_holes_in_segmentation:
        found = reshaping.fill(found)
    sizes = survey(found.volume, found.count, on_slice)
    return found.sorted(sizes, large_enough(sizes, params.min_size or 0, params.min_extent or 0))


def passes(params: Parameters) -> int:
    """How often `refine` calls `on_slice` for each slice of the volume."""
    spread = sum(-(-layers // LAYERS_AT_ONCE) for layers in (params.label_erosion, params.label_dilation))
    return 1 + spread + int(params.fill_holes_in_segmentation)


class _Reshaping:
    """Writes label maps that have changed, each in place of the one before."""

    def __init__(self, workspace: Workspace, on_slice: OnSlice) -> None:
        self._workspace, self._on_slice = workspace, on_slice
        self._passes = 0

    def spread(self, found: Labelled, spread: Callable[[SpanVolume, int], Slabs], layers: int) -> Labelled:
        """Erosion or dilation by so many layers."""
        volume = found.volume
        while layers > LAYERS_AT_ONCE:
            volume = self._written(spread(volume, LAYERS_AT_ONCE), volume)
            layers -= LAYERS_AT_ONCE
        return self._separated(spread(volume, layers), replace(found, volume=volume))

    def fill(self, found: Labelled) -> Labelled:
        """Background that an object encloses in an xy slice becomes part of it."""
        slabs = (self._filled(found.volume, z) for z in range(found.volume.shape[0]))
        return self._separated(slabs, found)

    def _filled(self, volume: SpanVolume, z: int) -> Labels:
        """(1, Y, X) labels of a slice without holes."""
        spans, (height, width) = volume.slice(z), volume.shape[1:]
        labels, number = np.unique(np.append(0, spans.owner), return_inverse=True)
        sheet = self._workspace.sheet("filled", (height, width), np.uint32)
        sheet.write(0, paint(Spans(number[1:], spans.begin, spans.end), (height, width)))
        own = np.arange(len(labels), dtype=np.uint32)
        merged = Merged(sheet, own, np.minimum(own, 1).astype(np.uint8), own)
        fill_holes(merged)
        return np.asarray(labels.astype(np.uint32)[merged.read(0, height)])[None]

    def _separated(self, slabs: Slabs, found: Labelled) -> Labelled:
        """Each component of the slabs as an object with the class and the confidence of the one it is of."""
        components = Components3D()
        volume = self._written((components.add(slab) for slab in slabs), found.volume)
        final, values = components.merged()
        return Labelled(replace(volume, names=final), found.class_ids[values], found.confidence[values])

    def _written(self, slabs: Slabs, old: SpanVolume) -> SpanVolume:
        """A file of the slabs, which takes the place of an old one once that was read."""
        self._passes += 1
        file, count = SpanFile(self._workspace.spool(f"reshaped-{self._passes}", SpanFile.dtype)), 0
        for slab in slabs:
            count = max(count, int(slab.max()))
            for plane in slab:
                file.append(find_spans(plane))
                self._on_slice()
        self._workspace.remove(old.file.spool)
        return SpanVolume.of(old.shape, file, count)
