"""The parameters of a segmentation job.

Names, defaults and ranges are those of the empanada-napari graphical interface, which users of these
models know (docs/api.md lists them beside each other).
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from emserve.wording import said_as


def _no_truth_value(value: object) -> object:
    if isinstance(value, bool):  # Python, unlike JSON, takes true for 1
        raise ValueError("a number is expected, not true or false")
    return value


_Number = BeforeValidator(_no_truth_value)
Downsampling = Annotated[Literal[1, 2, 4, 8, 16, 32, 64], _Number]
AxisOrder = Annotated[
    str,
    Field(pattern="^[YXCSZT]{2,5}$", examples=["YX"]),
    said_as(
        "one letter for each axis is expected, of Y, X, Z (slices), C (channels), S (samples) and T (times), "
        "two to five in all, such as ZYX"
    ),
]
FINEST_NM, COARSEST_NM = 1e-3, 1e6
Nanometres = Annotated[float, Field(ge=FINEST_NM, le=COARSEST_NM), _Number]
PixelSize = Annotated[
    list[Nanometres],
    Field(min_length=2, max_length=3),
    said_as(
        "a list of numbers from 0.001 to 1000000 is expected: two, height and width of a pixel, such as "
        "[5, 5], or three of a volume, the distance of slices before them, such as [30, 5, 5]"
    ),
]


def _ascending(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] >= bounds[1]:
        raise ValueError("the second value must be above the first")
    return bounds


_Grey = Annotated[float, _Number]
GreyRange = Annotated[tuple[_Grey, _Grey], AfterValidator(_ascending), Field(examples=[[0, 4095]])]
NeverCut = Annotated[Literal[0], _Number]
TileSide = Annotated[int, Field(ge=256, le=16384), _Number]


class Parameters(BaseModel):
    """What may be chosen for one job. What is left out takes the model's own default, or what is here."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        json_schema_serialization_defaults_required=True,
    )

    downsampling: Annotated[
        Downsampling | Literal["auto"], said_as("1, 2, 4, 8, 16, 32, 64 or auto is expected")
    ] = 1
    """Inference runs at 1/n of the image's resolution, the labels come out at full resolution.
    `auto` takes the power of two that brings the image's pixel size nearest to the size the model's
    weights are at home with."""

    confidence_thr: Annotated[float, Field(ge=0.1, le=0.9), _Number] = 0.5
    """A pixel is foreground when its semantic probability is at least this."""

    center_confidence_thr: Annotated[float, Field(ge=0.05, le=0.9), _Number] = 0.1
    """A peak of the centre heat map is an object's centre when it is above this."""

    min_distance_object_centers: Annotated[int, Field(ge=1, le=35), _Number] = 3
    """Side of the window, in heat-map pixels, in which only the highest centre survives."""

    fine_boundaries: bool = False
    """Group pixels at the network's full resolution instead of a quarter of it."""

    semantic_only: bool = False
    """Label pixels with their class and make no instances."""

    fill_holes_in_segmentation: bool = False
    """Fill background that an object encloses; pixels of other objects are left alone."""

    min_size: Annotated[int, Field(ge=0), _Number] | None = None
    """Drop objects with fewer pixels or voxels than this. Where nothing is said: 0 for images and with `mode`
    slices, 500 for other volumes."""

    min_extent: Annotated[int, Field(ge=0), _Number] | None = None
    """Drop objects whose bounding box has a side shorter than this, in pixels or voxels. Where nothing is
    said: 0 for images and with `mode` slices, 5 for other volumes."""

    # Its forms stand apart, since programs that write clients take no value of two types.
    tile_size: Annotated[
        Literal["auto"] | NeverCut | TileSide, said_as("auto, 0, or 256 to 16384 is expected")
    ] = "auto"
    """Side of the tiles that a large image is inferred in, in pixels of the image at the resolution of the
    inference; tiles overlap and are blended. `auto` cuts what is larger than 2048, 0 never cuts."""

    mode: Literal["slices", "stack", "orthoplane"] | None = None
    """What becomes of slices. `slices`: each by itself, as an image. `stack`: objects are matched from slice
    to slice. `orthoplane`: stacks along all three axes, and what they agree on. Where nothing is said: stack
    for volumes, slices for images, which allow nothing else."""

    inference_plane: Literal["xy", "xz", "yz"] = "xy"
    """Which slices of a volume are segmented; `mode` orthoplane takes all three."""

    median_slices: Annotated[Literal[1, 3, 5, 7, 9, 11], _Number] = 3
    """How many slices of a stack take part in the median of each pixel's class; 1 leaves them as they are."""

    min_slice_size: Annotated[int, Field(ge=0), _Number] = 0
    """Drop objects of a slice with fewer pixels than this before they are matched from slice to slice, so
    that specks tie nothing together. For stacks; images have `min_size`."""

    label_erosion: Annotated[int, Field(ge=0, le=50), _Number] = 0
    """Take this many layers of voxels off every object of a volume."""

    label_dilation: Annotated[int, Field(ge=0, le=50), _Number] = 0
    """Add this many layers of voxels to every object of a volume, after `label_erosion`."""

    pixel_vote_thr: Annotated[int, Field(ge=1, le=3), _Number] = 2
    """In how many of the three planes of `mode` orthoplane a voxel must belong to an object."""

    allow_one_view: bool = False
    """With `mode` orthoplane: keep objects that one plane alone shows."""

    axes: AxisOrder | None = None
    """Axis order of the file, where the file does not say it: Y, X, Z (slices), C, T or S (samples)."""

    pixel_size_nm: PixelSize | None = None
    """Height and width of a pixel in nanometres, where the file does not say them or is wrong; of a volume
    three values: distance of slices, height and width."""

    channel: Annotated[int, Field(ge=0), _Number] | None = None
    """Which channel of a file with several is the grey image, from 0."""

    time: Annotated[int, Field(ge=0), _Number] | None = None
    """Which time of a file with several is the grey image or volume, from 0."""

    intensity_range: Annotated[
        Literal["dtype", "percentile"] | GreyRange,
        said_as(
            "dtype, percentile, or two numbers, the second above the first, such as [0, 4095], is expected"
        ),
    ] = "dtype"
    """Grey values that become 0 and 1 before the model's normalisation: the data type's range, the image's
    1st and 99th percentiles, or two given values."""

    invert: bool = False
    """Turn dark into bright first, for data with the opposite contrast."""
