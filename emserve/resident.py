"""A model that is warm, as its worker tells of it."""

from pydantic import BaseModel, ConfigDict


class Resident(BaseModel):
    """A model that a worker holds warm."""

    model_config = ConfigDict(frozen=True)

    id: str
    sha256: str
    """Of the weights that were loaded."""
    bytes: int
    """Memory that its weights take."""
    load_seconds: float
    """How long loading took, the comparison of its SHA-256 included."""
