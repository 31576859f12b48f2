"""The picture of a volume: its three middle planes side by side, each object outlined in its colour."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from workers.images.preview import FINE, LONGEST_SIDE, painted, stretched

_GAP = 8
_GROUND = 24  # dark grey, between the planes
_TEXT_SIDE = 48  # planes that are narrower get no name
_PLANES = {"xy": 0, "xz": 1, "yz": 2}
"""By which axis each plane is cut."""

Grey = NDArray[np.float32]
Labels = NDArray[np.uint32]


@dataclass(frozen=True)
class Layout:
    """How large each side of a volume (Z, Y, X) is drawn: as long as it is in nature, where voxels' sizes are
    known."""

    shape: tuple[int, int, int]
    pixels: tuple[int, int, int]
    """Of Z, Y and X."""

    @classmethod
    def of(cls, shape: tuple[int, int, int], voxel_size_nm: tuple[float, float, float] | None) -> Self:
        depth, height, width = (
            side * size for side, size in zip(shape, voxel_size_nm or (1.0, 1.0, 1.0), strict=True)
        )
        scale = (LONGEST_SIDE - _GAP) / (depth + max(height, width))
        pixels = [max(1, int(length * scale)) for length in (depth, height, width)]
        return cls(shape, (pixels[0], pixels[1], pixels[2]))

    @property
    def middle(self) -> tuple[int, int, int]:
        """The planes that are shown."""
        return self.shape[0] // 2, self.shape[1] // 2, self.shape[2] // 2

    def sides(self, axis: int) -> tuple[int, int]:
        """Height and width in pixels of the plane across `axis`."""
        height, width = (side for at, side in enumerate(self.pixels) if at != axis)
        return height, width

    def places(self, axis: int) -> NDArray[np.intp]:
        """Which voxel along `axis` lies under each of the finer pixels of labels."""
        count = self.pixels[axis] * FINE
        return (np.arange(count) * 2 + 1) * self.shape[axis] // (2 * count)


class MontageLabels:
    """The labels of the three planes, gathered while a volume's slices pass."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._places = [layout.places(axis) for axis in range(3)]
        self.planes: list[Labels] = [
            np.zeros([side * FINE for side in layout.sides(axis)], np.uint32) for axis in range(3)
        ]

    def add(self, z: int, labels: NDArray[Any]) -> None:
        """Slice z (Y, X)."""
        middle, (in_z, in_y, in_x) = self._layout.middle, self._places
        if z == middle[0]:
            self.planes[0][:] = labels[np.ix_(in_y, in_x)]
        rows = slice(*np.searchsorted(in_z, (z, z + 1)))
        self.planes[1][rows] = labels[middle[1], in_x]
        self.planes[2][rows] = labels[in_y, middle[2]]


def shrunk_plane(plane: NDArray[Any], sides: tuple[int, int]) -> Grey:
    """A plane at this height and width, antialiased, in its own grey values."""
    values = np.nan_to_num(plane.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    picture = Image.fromarray(values).resize((sides[1], sides[0]), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


def pack(greys: list[Grey], labels: list[Labels], middle: tuple[int, int, int]) -> bytes:
    """What `write_montage` needs, as one .npz."""
    file = io.BytesIO()
    arrays: dict[str, NDArray[Any]] = {"middle": np.array(middle)}
    for name, axis in _PLANES.items():
        arrays |= {f"grey_{name}": greys[axis], f"labels_{name}": labels[axis]}
    np.savez_compressed(file, allow_pickle=False, **arrays)
    return file.getvalue()


def write_montage(packed: bytes, path: Path) -> None:
    """A PNG of at most 1024 pixels a side: xy, below it xz, beside it yz with z to the right."""
    with np.load(io.BytesIO(packed), allow_pickle=False) as file:
        arrays: Mapping[str, NDArray[Any]] = {name: file[name] for name in file.files}
    greys = [np.asarray(arrays[f"grey_{name}"], np.float32) for name in _PLANES]
    values = stretched(np.concatenate([grey.ravel() for grey in greys]))
    cuts = np.split(values, np.cumsum([grey.size for grey in greys])[:-1])
    xy, xz, yz = (
        painted(cut.reshape(grey.shape), arrays[f"labels_{name}"])
        for cut, grey, name in zip(cuts, greys, _PLANES, strict=True)
    )
    z, y, x = len(xz), len(xy), xy.shape[1]
    canvas = np.full((y + _GAP + z, x + _GAP + z, 3), _GROUND, np.uint8)
    canvas[:y, :x] = xy
    canvas[y + _GAP :, :x] = xz
    canvas[:y, x + _GAP :] = yz.swapaxes(0, 1)
    picture = Image.fromarray(canvas)
    _name(picture, arrays["middle"], (z, y, x))
    picture.save(path, format="PNG")


def _name(picture: Image.Image, middle: NDArray[Any], pixels: tuple[int, int, int]) -> None:
    """Says in each plane's corner which it is."""
    z, y, x = pixels
    draw = ImageDraw.Draw(picture)
    corners = {"z": (0, 0), "y": (0, y + _GAP), "x": (x + _GAP, 0)}
    room = {"z": min(x, y), "y": min(x, z), "x": min(y, z)}
    for axis, number in zip("zyx", middle, strict=True):
        if room[axis] >= _TEXT_SIDE:
            left, top = corners[axis]
            draw.text(
                (left + 5, top + 4), f"{axis} = {number}", fill="white", stroke_width=1, stroke_fill="black"
            )
