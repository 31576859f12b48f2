"""The story of one image: from grey values to a label map and a table of its objects."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from emserve.cards import ModelCard
from emserve.jobs import JobWarning, Stage
from emserve.params import Parameters
from workers.inference.centres import find_centres
from workers.inference.engine import Engine
from workers.inference.grey_range import warn_of_range
from workers.inference.grouping import Grouping
from workers.inference.holes import fill_holes
from workers.inference.maps import SMALLEST_TILE, Look, Maps, infer_within_memory
from workers.inference.measure import ObjectTable, Scene, measure
from workers.inference.merge import Classes, Kinds, Labels, Merged, merge, merge_semantic
from workers.inference.preprocess import GreyValues, choose_levels, look
from workers.inference.rows import BlackAndWhite, Rows, Workspace
from workers.inference.tiling import Cut

Mask = npt.NDArray[np.bool_]
OnProgress = Callable[[Stage, int, int, str], None]

LARGEST_WHOLE = 2048
"""Side, in pixels of the network's input, up to which an image is inferred whole with `tile_size` auto."""
AUTO_TILE = 1024


@dataclass(frozen=True)
class Request2D:
    """One image and what is wanted of it."""

    image: Rows
    """(H, W) of bool, uint8, uint16, int16 or float32."""
    pixel_size_nm: tuple[float, float] | None
    """Height and width of a pixel."""
    params: Parameters
    """With `downsampling` a number."""
    card: ModelCard

    @property
    def downsampling(self) -> int:
        """The factor as a number; `auto` is resolved when a job is accepted."""
        if self.params.downsampling == "auto":
            raise ValueError("downsampling must be resolved before an image is segmented")
        return self.params.downsampling


@dataclass(frozen=True)
class Segmentation:
    """What the network found."""

    labels: Merged
    """(H, W) 0 background, objects 1 to n; with `semantic_only` the class of each pixel."""
    objects: ObjectTable
    warnings: tuple[JobWarning, ...]


def segment(
    request: Request2D, engine: Engine, workspace: Workspace, on_progress: OnProgress
) -> Segmentation:
    """Segments one image.

    Raises ImageValues for NaN and infinite grey values, OutOfMemory where even small tiles are too much for
    the device, and OSError where the workspace is full.
    """
    params = request.params
    image = BlackAndWhite(request.image) if request.image.dtype == np.bool_ else request.image
    values = look(image)
    wanted = choose_look(request, image, values, engine)
    (maps,), taken = infer_within_memory(
        [image],
        wanted,
        engine,
        workspace,
        lambda done, total: on_progress(Stage.INFER, done, total, "tiles"),
    )
    on_progress(Stage.GROUP, 0, 1, "images")
    labels, confidence = find_objects(maps, params, request.card, workspace)
    if params.fill_holes_in_segmentation:
        fill_holes(labels)
    scene = Scene(request.image, request.pixel_size_nm, request.card.class_names, confidence)
    objects = measure(labels, scene)
    if (params.min_size or params.min_extent) and not params.semantic_only:
        labels, objects = drop_small(labels, objects, params)
    on_progress(Stage.GROUP, 1, 1, "images")
    return Segmentation(labels, objects, _warnings(request, values, None if taken is wanted else taken))


def choose_look(request: Request2D, image: Rows, values: GreyValues, engine: Engine) -> Look:
    """How the network is shown `image`, the request's or what stands for it."""
    params, card = request.params, request.card
    return Look(
        norms=card.norms,
        levels=choose_levels(image.dtype, values, params.intensity_range, params.invert),
        downsampling=request.downsampling,
        fine_boundaries=params.fine_boundaries,
        confidence_thr=params.confidence_thr,
        instances=not params.semantic_only,
        cut=choose_cut(request, engine),
        batch=engine.batch,
    )


def choose_cut(request: Request2D, engine: Engine) -> Cut:
    """How the image is cut: `auto` leaves it whole as long as it is small."""
    tile = request.params.tile_size
    side = _automatic_tile(request) if tile == "auto" else tile
    return Cut(side, engine.size_multiple, request.card.padding_factor)


def _automatic_tile(request: Request2D) -> int:
    longest = max(-(-side // request.downsampling) for side in request.image.shape)
    if longest <= LARGEST_WHOLE:
        return 0
    # What matters for memory is the tile at full resolution, where the class map is rendered.
    return max(SMALLEST_TILE, AUTO_TILE // max(1, request.downsampling // 2))


def find_objects(
    maps: Maps, params: Parameters, card: ModelCard, workspace: Workspace
) -> tuple[Merged, npt.NDArray[np.float32]]:
    """Objects of the network's maps, and the heat map's height at each centre, from 1; entry 0 is none's."""
    none = np.zeros(1, np.float32)
    if params.semantic_only:
        return merge_semantic(maps.classes, workspace), none
    things = frozenset(card.thing_list)
    centres = find_centres(maps.heat, params.center_confidence_thr, params.min_distance_object_centers)
    grouping, kinds = Grouping(centres, maps.step), Kinds(things)

    def centres_of(y0: int, band: Classes) -> Labels:
        """Centre of each foreground pixel of a band, found on the heads' coarser grid."""
        scale = maps.scale
        wanted = _shrunk(kinds.things_of(band), scale, maps.heat.shape[1])
        offsets = maps.offsets.read(y0 // scale, y0 // scale + len(wanted)).transpose(1, 0, 2)
        ids = grouping.group(offsets, wanted, y0 // scale)
        return ids.repeat(scale, axis=0).repeat(scale, axis=1)[: band.shape[0], : band.shape[1]]

    merged = merge(maps.classes, centres_of, kinds, workspace, maps.scale)
    return merged, np.concatenate([none, peak_heights(maps, centres)])


def _shrunk(mask: Mask, scale: int, columns: int) -> Mask:
    """(rows / scale, columns) whether any pixel of each `scale` x `scale` square is set."""
    rows = -(-mask.shape[0] // scale)
    padded = np.zeros((rows * scale, columns * scale), np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    # Slice by slice: `any` over two axes of a few elements each is twenty times slower.
    by_row = np.logical_or.reduce([padded[row::scale] for row in range(scale)])
    return np.asarray(np.logical_or.reduce([by_row[:, column::scale] for column in range(scale)]))


def peak_heights(maps: Maps, centres: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """(K,) value of the heat map at each centre."""
    heights = np.zeros(len(centres), np.float32)
    rows, begins = np.unique(centres[:, 0], return_index=True)  # centres are in row-major order
    ends = np.append(begins[1:], len(centres))[: len(rows)]
    for row, begin, end in zip(rows, begins, ends, strict=True):
        heights[begin:end] = maps.heat.read(int(row), int(row) + 1)[0, centres[begin:end, 1]]
    return heights


def drop_small(labels: Merged, objects: ObjectTable, params: Parameters) -> tuple[Merged, ObjectTable]:
    """Without objects of fewer than `min_size` pixels or with a side of their box under `min_extent`."""
    columns = objects.columns
    height = columns["bbox_y1_px"] - columns["bbox_y0_px"]
    width = columns["bbox_x1_px"] - columns["bbox_x0_px"]
    large = columns["area_px"] >= (params.min_size or 0)
    large &= np.minimum(height, width) >= (params.min_extent or 0)
    wanted = np.zeros(labels.count + 1, np.bool_)
    wanted[columns["label"][large]] = True
    kept = {name: column[large] for name, column in columns.items()}
    return labels.keep(wanted), ObjectTable({**kept, "label": np.arange(1, int(large.sum()) + 1)})


def _warnings(request: Request2D, values: GreyValues, smaller: Look | None) -> tuple[JobWarning, ...]:
    warnings = warn_of_range(request.image.dtype, values, request.params.intensity_range)
    return warnings if smaller is None else (*warnings, low_device_memory(smaller, "image"))


def low_device_memory(look: Look, what: str) -> JobWarning:
    """Says how an image or a volume was inferred because the device has little memory."""
    told = f"The device ran out of memory, so the {what} was inferred "
    if look.cut.side:
        told += (
            f"in tiles of {look.cut.side} pixels, {look.batch} at once. Objects may differ slightly from "
            "those of larger tiles."
        )
    else:
        told += f"{look.batch} {'slice' if look.batch == 1 else 'slices'} at once, which changes no object."
    return JobWarning(code="low-device-memory", detail=told)
