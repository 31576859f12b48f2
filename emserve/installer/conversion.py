"""What the converter finds in a model's file, and says to whoever started it."""

from typing import Any

from pydantic import BaseModel, ConfigDict


class Conversion(BaseModel):
    """A network that was written as weights which workers load."""

    model_config = ConfigDict(frozen=True)

    architecture: str
    architecture_config: dict[str, Any]  # the fields differ from one architecture to the next
    channels: int
    """Of its semantic output: 1, or one per class and one for the background."""
    fused: bool
    """Whether BatchNorm was folded into the encoder's convolutions, as in released archives."""
    sha256: str
    """Of the weights that were written."""

    def has_classes(self, count: int) -> bool:
        """Whether these are the channels of so many classes; a single one may do without a background."""
        return self.channels == count + 1 or self.channels == count == 1
