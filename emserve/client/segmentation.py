"""What a finished segmentation gives."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emserve.jobs import Job

Labels = NDArray[np.unsignedinteger[Any]]  # the width follows from how many objects there are
Row = dict[str, int | float | str | None]
"""One object's measures by column name. The columns are the service's: they differ with the pixel size being
known or not and grow with its version, so a fixed class would hide some of them."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The label map of one image or volume, and what was measured."""

    labels: Labels
    """(H, W), of a volume (Z, H, W); uint8, uint16 or uint32: background 0, objects 1 to n."""
    objects: list[Row]
    """One per object, in the order of the labels; lengths in pixels and, where known, nanometres."""
    job: Job
    """The job, with its id for `Client.preview`, `Client.provenance` and `Client.save`."""
