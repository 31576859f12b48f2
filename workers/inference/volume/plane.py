"""Planes: the three directions in which a volume is cut into slices."""

from dataclasses import dataclass

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Plane:
    """Slices along one axis of (Z, Y, X)."""

    name: str
    axis: int

    def slices(self, shape: Shape) -> int:
        """How many there are."""
        return shape[self.axis]

    def sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width of each; of sizes of voxels, those of its pixels."""
        height, width = (each for axis, each in enumerate(shape) if axis != self.axis)
        return height, width

    def pixel_size(self, voxel_size: tuple[float, float, float] | None) -> tuple[float, float] | None:
        """Height and width of a slice's pixel."""
        if voxel_size is None:
            return None
        height, width = (each for axis, each in enumerate(voxel_size) if axis != self.axis)
        return height, width


XY, XZ, YZ = Plane("xy", 0), Plane("xz", 1), Plane("yz", 2)
PLANES = {plane.name: plane for plane in (XY, XZ, YZ)}
