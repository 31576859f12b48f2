"""Ranges: how the slices of a plane are cut for inference, and the names that results of each go by."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from workers.inference.maps import Look
from workers.inference.volume.plane import Plane, Shape
from workers.inference.volume.request import Request3D

_FORMAT = 1  # of the records; another number makes all older ones unknown


@dataclass(frozen=True)
class Range:
    """Slices `begin` to `end` - 1 of a plane."""

    plane: Plane
    begin: int
    end: int


def cut(plane: Plane, shape: Shape, batch: int, pixels: int) -> Iterator[Range]:
    """Ranges of so many pixels at most, but of whole batches, so that cuts change nothing."""
    height, width = plane.sides(shape)
    size = max(1, pixels // (height * width * batch)) * batch
    for begin in range(0, plane.slices(shape), size):
        yield Range(plane, begin, min(begin + size, plane.slices(shape)))


class Keys:
    """Names of ledger entries: other weights, another device, a parameter of the inference give others."""

    def __init__(self, request: Request3D, look: Look) -> None:
        depends = {
            "format": _FORMAT,
            "identity": request.identity,
            "card": request.card.id,
            "shape": request.source.shape,
            "dtype": str(request.source.dtype),
            "center_confidence_thr": request.params.center_confidence_thr,
            "min_distance_object_centers": request.params.min_distance_object_centers,
            "look": {**asdict(look), "norms": request.card.norms.model_dump()},
        }
        self._prefix = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]

    def of(self, part: Range) -> str:
        return f"{self._prefix}/{part.plane.name}-{part.begin}-{part.end}"
