"""What a row of measures holds, for the OpenAPI document; docs/api.md defines each of them."""

from pydantic import BaseModel, ConfigDict


class ObjectMeasures(BaseModel):
    """The measures of one object: those of images (px), those of volumes (vx), and those of both. Which there
    are is the same for all rows of a job. A length in nm is null where no pixel size is known.

    With `mode` slices along another plane than xy the names have that plane's axes."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="allow")

    label: int
    """Its value in the label map."""
    class_id: int
    class_name: str
    grey_mean: float
    """Mean of the uploaded grey values."""
    grey_sd: float
    """Their population standard deviation."""
    centre_confidence: float | None
    """Height of the centre map at its centre; null with `semantic_only`."""

    slice: int | None = None
    """With `mode` slices, the slice that it is in."""
    area_px: int | None = None
    area_nm2: float | None = None
    bbox_y0_px: int | None = None
    bbox_x0_px: int | None = None
    bbox_y1_px: int | None = None
    """The row behind its last."""
    bbox_x1_px: int | None = None
    centroid_y_px: float | None = None
    centroid_x_px: float | None = None
    orientation_deg: float | None = None
    """Of its longer axis, counter-clockwise from +x, above -90 and up to 90; null for round objects."""
    perimeter_px: float | None = None
    perimeter_nm: float | None = None
    circularity: float | None = None
    feret_min_px: float | None = None
    feret_min_nm: float | None = None
    feret_max_px: float | None = None
    feret_max_nm: float | None = None

    volume_vx: int | None = None
    volume_nm3: float | None = None
    bbox_z0_vx: int | None = None
    bbox_y0_vx: int | None = None
    bbox_x0_vx: int | None = None
    bbox_z1_vx: int | None = None
    bbox_y1_vx: int | None = None
    bbox_x1_vx: int | None = None
    extent_z_nm: float | None = None
    extent_y_nm: float | None = None
    extent_x_nm: float | None = None
    centroid_z_vx: float | None = None
    centroid_y_vx: float | None = None
    centroid_x_vx: float | None = None
    slices: int | None = None
    """In how many slices it is."""
    surface_vx2: float | None = None
    surface_nm2: float | None = None
    sphericity: float | None = None


class Objects(BaseModel):
    """The objects of a job, in the order of labels."""

    count: int
    objects: list[ObjectMeasures]
