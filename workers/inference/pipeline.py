"""The story of one image: from grey values to a label map and a table of its objects."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emserve.cards import ModelCard
from emserve.jobs import JobWarning, Stage
from emserve.params import Parameters
from workers.inference.centres import find_centres
from workers.inference.engine import Engine, Heads2D
from workers.inference.grouping import Votes, group
from workers.inference.holes import fill_holes
from workers.inference.measure import ObjectTable, Scene, measure
from workers.inference.merge import Labels, Merged, harden, keep, merge, merge_semantic
from workers.inference.preprocess import (
    GreyImage,
    Levels,
    check_values,
    normalise,
    pad,
    shrink,
    uses_little_range,
)
from workers.inference.sizes import large_enough

OnProgress = Callable[[Stage, int, int, str], None]

LOW_DYNAMIC_RANGE = JobWarning(
    code="low-dynamic-range",
    detail="The image uses less than an eighth of what uint16 can hold, so it looks nearly constant to the "
    'network. Set `intensity_range` to "percentile" or to the range that the camera has, such as [0, 4095].',
)


@dataclass(frozen=True)
class Request2D:
    """One image and what is wanted of it."""

    image: GreyImage
    """(H, W) of bool, uint8, uint16, int16 or float32."""
    pixel_size_nm: tuple[float, float] | None
    """Height and width of a pixel."""
    params: Parameters
    """With `downsampling` a number."""
    card: ModelCard


@dataclass(frozen=True)
class Segmentation:
    """What the network found."""

    labels: Labels
    """(H, W) 0 background, objects 1 to n; with `semantic_only` the class of each pixel."""
    objects: ObjectTable
    warnings: tuple[JobWarning, ...]


@dataclass(frozen=True)
class _Found:
    """Merged labels and the heights of the peaks that they belong to."""

    merged: Merged
    centre_confidence: npt.NDArray[np.float32]
    """(K + 1,) entry 0 belongs to no centre."""


def segment(request: Request2D, engine: Engine, on_progress: OnProgress) -> Segmentation:
    """Segments one image. Raises ImageValues for NaN and infinite grey values."""
    image, params = request.image, request.params
    check_values(image)
    on_progress(Stage.INFER, 0, 1, "images")
    heads = engine.predict(prepare(request), downsampling_of(params), params.fine_boundaries)
    on_progress(Stage.GROUP, 0, 1, "images")
    found = find_objects(heads, image.shape, params, frozenset(request.card.thing_list))
    merged = refine(found.merged, params)
    scene = Scene(image, request.pixel_size_nm, request.card.class_names, found.centre_confidence)
    objects = measure(merged, scene)
    on_progress(Stage.GROUP, 1, 1, "images")
    narrow = params.intensity_range == "dtype" and uses_little_range(image)
    return Segmentation(merged.labels, objects, (LOW_DYNAMIC_RANGE,) if narrow else ())


def downsampling_of(params: Parameters) -> int:
    """The factor as a number; `auto` is resolved when a job is accepted."""
    if params.downsampling == "auto":
        raise ValueError("downsampling must be resolved before an image is segmented")
    return params.downsampling


def prepare(request: Request2D) -> npt.NDArray[np.float32]:
    """The network's input: shrunk, normalised, padded, float32."""
    levels = Levels(request.params.intensity_range, request.params.invert)
    small = shrink(request.image, downsampling_of(request.params))
    return pad(normalise(small, request.card.norms, levels), request.card.padding_factor)


def find_objects(
    heads: Heads2D, shape: tuple[int, ...], params: Parameters, things: frozenset[int]
) -> _Found:
    """Objects of the network's maps, cut to the image's `shape` (H, W)."""
    height, width = shape
    none = np.zeros(1, np.float32)
    if params.semantic_only:
        classes = harden(heads.semantic[:, :height, :width], params.confidence_thr)
        return _Found(merge_semantic(classes), none)
    classes = harden(heads.semantic, params.confidence_thr)
    centres = find_centres(heads.centres, params.center_confidence_thr, params.min_distance_object_centers)
    centre_ids = _centre_of_each_pixel(heads, centres, np.isin(classes, list(things)))
    # The padding takes part up to here, as it does in the reference.
    merged = merge(classes[:height, :width], centre_ids[:height, :width], things)
    confidence = heads.centres[centres[:, 0], centres[:, 1]]
    return _Found(merged, np.concatenate([none, confidence]))


def _centre_of_each_pixel(
    heads: Heads2D, centres: npt.NDArray[np.intp], foreground: npt.NDArray[np.bool_]
) -> Labels:
    """(H, W) number of the centre of each foreground pixel, found on the heads' coarser grid."""
    h, w = heads.centres.shape
    scale = foreground.shape[0] // h
    wanted = np.asarray(foreground.reshape(h, scale, w, scale).any(axis=(1, 3)))
    ids = group(Votes(centres, heads.offsets, heads.step), wanted)
    return ids.repeat(scale, axis=0).repeat(scale, axis=1)


def refine(merged: Merged, params: Parameters) -> Merged:
    """Fills holes and drops small objects, as far as that is wanted."""
    if params.fill_holes_in_segmentation:
        merged = Merged(fill_holes(merged.labels), merged.class_ids, merged.centre_ids)
    if params.min_size or params.min_extent:
        if params.semantic_only:
            return merged
        merged = keep(merged, large_enough(merged.labels, params.min_size, params.min_extent))
    return merged
