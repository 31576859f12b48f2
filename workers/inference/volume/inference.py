"""Inference of a range of slices, which needs nothing of the slices around it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emserve.params import Parameters
from workers.inference.centres import find_centres
from workers.inference.engine import Engine
from workers.inference.grouping import Grouping
from workers.inference.maps import Look, Maps, infer_within_memory
from workers.inference.merge import band_rows
from workers.inference.pipeline import peak_heights
from workers.inference.rows import ArrayRows, Workspace, bands
from workers.inference.volume.plane import Plane
from workers.inference.volume.record import RangeRecord, SliceRecord
from workers.inference.volume.source import VolumeSource

OnSlices = Callable[[int], None]
"""Called with the number of slices that are done since it was called before."""


@dataclass
class Inference:
    """A network that looks at slices."""

    source: VolumeSource
    params: Parameters
    engine: Engine
    workspace: Workspace

    def records(self, plane: Plane, begin: int, end: int, look: Look, on_slices: OnSlices) -> RangeRecord:
        """Slices `begin` to `end` - 1 of a plane. Raises OutOfMemory."""
        records: list[SliceRecord] = []
        scale = 1
        while begin < end:
            several = self._together(plane, look)
            pixels = self.source.planes(plane.axis, begin, min(begin + several, end))
            images = [ArrayRows(each) for each in pixels]
            maps, look = infer_within_memory(
                images, look, self.engine, self.workspace, lambda *_: on_slices(0)
            )
            records += [self._record(each, look) for each in maps]
            scale, begin = maps[0].scale, begin + len(images)
            on_slices(len(images))
        return RangeRecord(tuple(records), scale, look.cut.tile, look.batch)

    def _together(self, plane: Plane, look: Look) -> int:
        """How many slices share a batch: those that are cut into tiles fill it alone."""
        sides = (-(-side // look.downsampling) for side in plane.sides(self.source.shape))
        return look.batch if all(len(look.cut.axis(side).starts) == 1 for side in sides) else 1

    def _record(self, maps: Maps, look: Look) -> SliceRecord:
        none = np.zeros(1, np.float32)
        if not look.instances:
            return SliceRecord(_evidence(maps), np.zeros((0, 0), np.uint32), none)
        params = self.params
        centres = find_centres(maps.heat, params.center_confidence_thr, params.min_distance_object_centers)
        heights = np.concatenate([none, peak_heights(maps, centres)])
        return SliceRecord(_evidence(maps), _cells(maps, Grouping(centres, maps.step)), heights)


def _evidence(maps: Maps) -> npt.NDArray[np.uint8] | npt.NDArray[np.float32]:
    """What the median is taken of."""
    height, width = maps.classes.shape
    if maps.probabilities is not None:
        return np.ascontiguousarray(maps.probabilities.read(0, height).transpose(1, 0, 2))
    packed = np.empty((height, -(-width // 8)), np.uint8)
    for y0, y1 in bands(height, band_rows(width)):
        packed[y0:y1] = np.packbits(maps.classes.read(y0, y1) > 0, axis=1)
    return packed


def _cells(maps: Maps, grouping: Grouping) -> npt.NDArray[np.uint32]:
    """(h, w) the centre of each point of the grid, foreground or not: the median may make it so."""
    height, _, width = maps.offsets.shape
    cells = np.empty((height, width), np.uint32)
    for y0, y1 in bands(height, band_rows(width)):
        offsets = maps.offsets.read(y0, y1).transpose(1, 0, 2)
        cells[y0:y1] = grouping.group(offsets, np.ones(offsets.shape[1:], np.bool_), y0)
    return cells
