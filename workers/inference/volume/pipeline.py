"""The story of one volume: from grey values to a label map and a table of its objects."""

from dataclasses import dataclass, replace

import numpy as np

from emserve.jobs import JobWarning, Stage
from emserve.params import Parameters
from workers.inference.engine import Engine
from workers.inference.grey_range import warn_of_range
from workers.inference.measure import ObjectTable
from workers.inference.pipeline import OnProgress, low_device_memory
from workers.inference.preprocess import Census, GreyValues
from workers.inference.rows import Workspace, bands
from workers.inference.volume.clusters import Rule
from workers.inference.volume.consensus import CONSENSUS_PASSES, agree
from workers.inference.volume.grouped import Grouper
from workers.inference.volume.labelled import Labelled
from workers.inference.volume.ledger import Ledger
from workers.inference.volume.measures import measure_volume
from workers.inference.volume.plane import PLANES, Plane
from workers.inference.volume.refinement import drop_small, passes, refine
from workers.inference.volume.request import LabelVolume, Request3D, Segmentation3D
from workers.inference.volume.slices import segment_slices
from workers.inference.volume.source import BlackAndWhiteVolume
from workers.inference.volume.steps import Steps
from workers.inference.volume.tracking import Tracker
from workers.inference.volume.turning import upright
from workers.inference.volume.views import Recorder, View

_PIXELS_AT_ONCE = 1 << 22


def segment_volume(
    request: Request3D, engine: Engine, workspace: Workspace, ledger: Ledger, on_progress: OnProgress
) -> Segmentation3D:
    """Segments one volume.

    Inference of a range of slices is kept in `ledger`; where it was finished before, it is not repeated.
    `on_progress` hears of each slice, in the stages INFER, GROUP and TRACK, in this order.

    Raises ImageValues for NaN and infinite grey values, OutOfMemory where even small tiles are too much for
    the device, and OSError where the workspace is full.
    """
    seen = request
    if request.source.dtype == np.bool_:
        seen = replace(request, source=BlackAndWhiteVolume(request.source))
    planes = _planes(request.params)
    slices = sum(plane.slices(request.source.shape) for plane in planes)
    infer = Steps(on_progress, Stage.INFER, slices)
    values = _census(seen, infer)
    recorder = Recorder(seen, engine, workspace, ledger)
    views = [View(plane, recorder, values) for plane in planes]
    for view in views:
        view.infer(infer)
    run = _Run(request, workspace, on_progress)
    labels, objects = run.slices(views[0]) if request.params.mode == "slices" else run.objects(views)
    return Segmentation3D(labels, objects, _warnings(seen, values, views))


@dataclass(frozen=True)
class _Run:
    """What becomes of slices once all are inferred: they are seen in order, slice by slice."""

    request: Request3D
    workspace: Workspace
    on_progress: OnProgress

    def slices(self, view: View) -> tuple[LabelVolume, ObjectTable]:
        """Each slice by itself."""
        group = Steps(self.on_progress, Stage.GROUP, view.slices)
        tracks, objects = segment_slices(view, self.request, self.workspace, group.add)
        track = Steps(self.on_progress, Stage.TRACK, view.slices if view.plane.axis > 0 else 0)
        shape = self.request.source.shape
        return upright(tracks, view.plane, shape, self.workspace, track.add), objects

    def objects(self, views: list[View]) -> tuple[LabelVolume, ObjectTable]:
        """Objects that run through slices."""
        request, workspace = self.request, self.workspace
        group = Steps(self.on_progress, Stage.GROUP, sum(view.slices for view in views))
        trackers = [self._followed(view, group) for view in views]
        track = Steps(self.on_progress, Stage.TRACK, _steps([view.plane for view in views], request))
        stacks = [
            self._stack(view.plane, tracker, track) for view, tracker in zip(views, trackers, strict=True)
        ]
        found = stacks[0]
        if len(stacks) > 1:
            rule = Rule.of(request.params, request.things, len(stacks))
            found = agree(stacks, rule, workspace, track.add)
        found = refine(found, request.params, workspace, track.add)
        if not request.instances:
            found = found.by_class()
        return found.volume, measure_volume(found, request, track.add)

    def _followed(self, view: View, steps: Steps) -> Tracker:
        """Matches a view's slices forward."""
        tracker = Tracker(self.workspace, view.plane.name, self.request.things)
        sides = view.plane.sides(self.request.source.shape)
        grouper = Grouper(sides, self.request.things, self.workspace)
        # Where only classes are wanted, a slice has no objects that could be too small.
        min_size = self.request.params.min_slice_size if self.request.instances else 0
        for record, scale in view.filtered(self.request.params.median_slices):
            tracker.add(*grouper.group(record, scale).objects(min_size))
            steps.add()
        return tracker

    def _stack(self, plane: Plane, tracker: Tracker, steps: Steps) -> Labelled:
        """The large objects of one stack, in the order in which they were met."""
        tracks = tracker.finish(steps.add)
        volume = upright(tracks, plane, self.request.source.shape, self.workspace, steps.add)
        found = Labelled(volume, tracks.class_ids, tracks.confidence)
        return drop_small(found, self.request.params, steps.add)


def _steps(planes: list[Plane], request: Request3D) -> int:
    """Slices that are seen after the forward pass, as often as they are seen."""
    shape = request.source.shape
    backward = sum(plane.slices(shape) for plane in planes)
    turned = sum(plane.slices(shape) for plane in planes if plane.axis > 0)
    agreeing = CONSENSUS_PASSES if len(planes) > 1 else 0
    return backward + turned + (len(planes) + agreeing + passes(request.params) + 1) * shape[0]


def _planes(params: Parameters) -> list[Plane]:
    if params.mode is None:
        raise ValueError("mode must be resolved before a volume is segmented")
    if params.mode == "orthoplane":
        return list(PLANES.values())
    return [PLANES[params.inference_plane]]


def _census(request: Request3D, steps: Steps) -> GreyValues:
    """Reads every voxel once. Raises ImageValues where a float volume holds NaN or infinity."""
    source = request.source
    depth, height, width = source.shape
    census = Census(source.dtype, depth * height * width)
    for z0, z1 in bands(depth, max(1, _PIXELS_AT_ONCE // (height * width))):
        for z, plane in enumerate(source.planes(0, z0, z1), z0):
            census.add(plane, 0, f"slice {z}, ")
        steps.add(0)
    return census.values()


def _warnings(request: Request3D, values: GreyValues, views: list[View]) -> tuple[JobWarning, ...]:
    warnings = warn_of_range(request.source.dtype, values, request.params.intensity_range)
    smaller = next((view.smaller for view in views if view.smaller is not None), None)
    return warnings if smaller is None else (*warnings, low_device_memory(smaller, "volume"))
