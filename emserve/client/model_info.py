"""A model as the service lists it."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class ModelInfo(BaseModel):
    """One version of one model. Fields of a newer service are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    id: str
    name: str
    version: str
    title: str = ""
    description: str = ""
    state: str
    """available, missing, loaded, or what a newer service says."""
    class_names: dict[int, str] = {}
    native_pixel_size_nm: float | None = None
    """Pixel size at which the weights do best."""
    licence: str = ""
    citation: str = ""
    sha256: str | None = None
    """Of the installed weights."""
    padding_factor: int | None = None
    architecture: str = ""
    source: dict[str, Any] = {}  # what is known of a model's origin differs
    """Publisher, record, file, checksums, as far as they are known."""


class ModelInfos(BaseModel):
    """All of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    models: list[ModelInfo]
