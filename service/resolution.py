"""The parameters that a job will run with: what was not said is filled in, what means nothing is refused."""

from collections.abc import Sequence
from functools import partial

from emserve.cards import ModelCard
from emserve.errors import FieldError, InvalidRequest, UnsuitableImage
from emserve.jobs import ImageHeader
from emserve.params import Parameters

_STACKED = ("stack", "orthoplane")
_MODES: dict[str, tuple[str, ...]] = {
    "inference_plane": ("slices", "stack"),
    "median_slices": _STACKED,
    "min_slice_size": _STACKED,
    "label_erosion": _STACKED,
    "label_dilation": _STACKED,
    "pixel_vote_thr": ("orthoplane",),
    "allow_one_view": ("orthoplane",),
}
"""With which modes a parameter of volumes has an effect."""
_OF_OBJECTS = (
    "center_confidence_thr",
    "min_distance_object_centers",
    "fine_boundaries",
    "min_size",
    "min_extent",
    "min_slice_size",
)
"""What has no effect where there are classes and no objects."""
_PLANES = {"xy": (1, 2), "xz": (0, 2), "yz": (0, 1)}


def resolve(given: Parameters, card: ModelCard, header: ImageHeader) -> Parameters:
    """`given` with the model's own defaults and a value for everything that depends on the image. Raises
    InvalidRequest and UnsuitableImage."""
    _check_grey_range(given, header)
    mode = _mode(given, header)
    _refuse_what_means_nothing(given, mode, header)
    stacked = partial(card.stack_parameters, shape=header.shape)
    filled = stacked if mode in _STACKED else card.parameters
    downsampling = _downsampling(given, filled(given).model_copy(update={"mode": mode}), card, header)
    params = filled(given.model_copy(update={"mode": mode, "downsampling": downsampling}))
    least_size, least_extent = params.min_size or 0, params.min_extent or 0
    if params.semantic_only:  # a class is not dropped for being small
        least_size = least_extent = 0
    sizes = {"min_size": least_size, "min_extent": least_extent}
    return params.model_copy(update=sizes)


def _check_grey_range(given: Parameters, header: ImageHeader) -> None:
    if header.dtype == "float32" and given.intensity_range == "dtype":
        detail = (
            "A float32 image has no range of its own: say which grey values are dark and bright with "
            '`intensity_range`, "percentile" or [low, high].'
        )
        raise UnsuitableImage(detail, errors=[FieldError("/params/intensity_range", detail)])


def _mode(given: Parameters, header: ImageHeader) -> str:
    if header.is_volume:
        return given.mode or "stack"
    if given.mode in _STACKED:
        detail = f"`mode` {given.mode} is for volumes, and the file holds a single image: leave it out."
        raise InvalidRequest(detail, errors=[FieldError("/params/mode", detail)])
    return "slices"


def _refuse_what_means_nothing(given: Parameters, mode: str, header: ImageHeader) -> None:
    """Only values other than the default: those are what a job shows that takes no notice of them."""
    faults = []
    for name, modes in _MODES.items():
        if getattr(given, name) == Parameters.model_fields[name].default:
            continue
        if not header.is_volume:
            faults.append(
                (name, f"`{name}` is for volumes, and the file holds a single image: leave it out.")
            )
        elif mode not in modes:
            wanted = " or ".join(modes)
            faults.append(
                (name, f"`{name}` has no effect with `mode` {mode}: leave it out, or take {wanted}.")
            )
    if given.semantic_only:
        faults += [
            (name, f"`{name}` has no effect with `semantic_only`, which makes no objects: leave it out.")
            for name in _OF_OBJECTS
            if getattr(given, name) not in (Parameters.model_fields[name].default, 0)
            and name not in {fault for fault, _ in faults}
        ]
    if faults:
        raise InvalidRequest(
            " ".join(detail for _, detail in faults),
            errors=[FieldError(f"/params/{name}", detail) for name, detail in faults],
        )


def _downsampling(given: Parameters, params: Parameters, card: ModelCard, header: ImageHeader) -> int:
    """`auto` as a number; a starter's default where both pixel sizes are known."""
    known = header.pixel_size_nm is not None and card.native_pixel_size_nm is not None
    automatic = "downsampling" not in given.model_fields_set and card.is_starter and known
    if params.downsampling != "auto" and not automatic:
        return params.downsampling
    number = card.downsampling_for(_in_plane(params, header.pixel_size_nm)) if header.pixel_size_nm else None
    if number is None:
        missing = (
            "the image's pixel size (give `pixel_size_nm`)" if not header.pixel_size_nm else "the model's"
        )
        detail = f"`downsampling: auto` needs two pixel sizes, and {missing} is unknown. Choose 1, 2, 4 … 64."
        raise InvalidRequest(detail, errors=[FieldError("/params/downsampling", detail)])
    return number


def _in_plane(params: Parameters, sizes: Sequence[float]) -> Sequence[float]:
    """Of a volume's voxel the sides that the network sees."""
    if len(sizes) == 2 or params.mode == "orthoplane":
        return sizes
    return [sizes[axis] for axis in _PLANES[params.inference_plane]]
