"""A part of a label map, as a request asks for it."""

from collections.abc import Sequence

from emserve.errors import FieldError, InvalidRequest
from emserve.jobs import Frozen

Box = tuple[tuple[int, int], ...]
"""Where it begins and ends along each axis."""


class Region(Frozen):
    """Bounds in pixels: the first, and the one behind the last. What is not said is the whole side."""

    z: int | None = None
    """One slice, which comes as an image."""
    z0: int | None = None
    z1: int | None = None
    y0: int | None = None
    y1: int | None = None
    x0: int | None = None
    x1: int | None = None

    @property
    def is_whole(self) -> bool:
        return all(value is None for value in self.model_dump().values())

    @property
    def name(self) -> str:
        """For a file: z3.y0-64."""
        parts = [] if self.z is None else [f"z{self.z}"]
        for axis, begin, end in (("z", self.z0, self.z1), ("y", self.y0, self.y1), ("x", self.x0, self.x1)):
            if begin is not None or end is not None:
                parts.append(f"{axis}{begin or 0}-{'' if end is None else end}")
        return ".".join(parts)

    def box(self, shape: Sequence[int]) -> Box:
        """Of a map of this shape, (Y, X) or (Z, Y, X). Raises InvalidRequest for what is not inside."""
        is_image = len(shape) == 2
        if is_image and not self.z is self.z0 is self.z1 is None:
            raise _fault("z", "`z`, `z0` and `z1` are for volumes, and this is the label map of an image.")
        if self.z is not None and not self.z0 is self.z1 is None:
            raise _fault("z", "`z` is one slice, `z0` and `z1` are several: give one or the other.")
        height, width = shape[-2:]
        plane = _bounds("y", self.y0, self.y1, height), _bounds("x", self.x0, self.x1, width)
        if is_image:
            return plane
        slices = _bounds("z", self.z0, self.z1, shape[0]) if self.z is None else _slice(self.z, shape[0])
        return slices, *plane


def _slice(z: int, slices: int) -> tuple[int, int]:
    if not 0 <= z < slices:
        raise _fault("z", f"The label map has slices 0 to {slices - 1}, and slice {z} was asked for.")
    return z, z + 1


def _bounds(axis: str, begin: int | None, end: int | None, side: int) -> tuple[int, int]:
    first, last = begin or 0, side if end is None else end
    if not 0 <= first < last <= side:
        at_fault = "1" if end is not None and 0 <= first < side else "0"
        raise _fault(
            f"{axis}{at_fault}",
            f"The label map has {side} along {axis}, and {first} to {last} was asked for: begin at 0 or "
            f"more, end at {side} or less, and after the beginning.",
        )
    return first, last


def _fault(name: str, detail: str) -> InvalidRequest:
    return InvalidRequest(detail, errors=[FieldError(f"/query/{name}", detail)])
