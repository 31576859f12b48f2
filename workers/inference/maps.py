"""The network's maps of a whole image, however large: tiles are inferred in batches and blended."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from emserve.cards import Norms
from emserve.errors import OutOfMemory
from workers.images.sheet import Sheet
from workers.inference.blend import Blend, Floats
from workers.inference.engine import COARSE_STEP, Engine, Heads2D
from workers.inference.merge import harden
from workers.inference.preprocess import GreyImage, Levels, Shrunk, normalise
from workers.inference.rows import Rows, Workspace
from workers.inference.tiling import Axis, Cut
from workers.models.place import Place

SMALLEST_TILE = 256
_ROWS_AT_ONCE = 64  # are written: what is copied for it stays small beside the maps themselves

OnTile = Callable[[int, int], None]
"""Called with the number of tiles that are done, and of all."""


@dataclass(frozen=True)
class Maps:
    """What the network says of an image of (H, W) pixels, its input being padded to (P, Q)."""

    classes: Sheet
    """(H, W) uint8 class of each pixel, 0 being background."""
    heat: Sheet
    """(p, q) float32 heat map of centres; p = P / step. Empty where no instances are wanted."""
    offsets: Sheet
    """(p, 2, q) float32 way to the object's centre: dy, dx in pixels of the network's input."""
    step: int
    """Pixels of the network's input per grid point of `heat` and `offsets`."""
    downsampling: int
    """Pixels of the image per pixel of the network's input."""

    @property
    def scale(self) -> int:
        """Pixels of the image per grid point."""
        return self.step * self.downsampling


@dataclass(frozen=True)
class Look:
    """How an image is shown to the network."""

    norms: Norms
    levels: Levels
    downsampling: int
    fine_boundaries: bool
    confidence_thr: float
    instances: bool
    """Whether centres and offsets are wanted."""
    cut: Cut
    batch: int = 1
    """Tiles inferred at once."""


def infer(image: Rows, look: Look, engine: Engine, workspace: Workspace, on_tile: OnTile) -> Maps:
    """The maps of `image` (H, W).

    Raises OutOfMemory where a batch of tiles is too much for the device.
    """
    small = Shrunk(image, look.downsampling)
    rows, columns = look.cut.axis(small.shape[0]), look.cut.axis(small.shape[1])
    writer = _Writer(image.shape, look, (rows, columns), workspace)
    total, done = len(rows.starts) * len(columns.starts), 0
    on_tile(0, total)
    for index, y in enumerate(rows.starts):
        band = small.read(y, y + rows.size)
        for batch in _batches(columns.starts, look.batch):
            tiles = np.stack([_tile(band[:, x : x + columns.size], look, (rows, columns)) for x in batch])
            places = [Place(y, x, rows.length, columns.length) for x in batch]
            writer.add(index, batch, engine.predict(tiles, look.downsampling, look.fine_boundaries, places))
            done += len(batch)
            on_tile(done, total)
        writer.flush(rows.starts[index + 1] if index + 1 < len(rows.starts) else rows.length)
    return writer.maps


def _tile(grey: GreyImage, look: Look, axes: tuple[Axis, Axis]) -> Floats:
    """A whole tile of normalised pixels; what the image lacks is the mean grey, 0."""
    tile = np.zeros((axes[0].size, axes[1].size), np.float32)
    tile[: grey.shape[0], : grey.shape[1]] = normalise(grey, look.norms, look.levels)
    return tile


def _batches(starts: tuple[int, ...], size: int) -> Iterator[tuple[int, ...]]:
    for begin in range(0, len(starts), size):
        yield starts[begin : begin + size]


class _Writer:
    """Blends tiles and writes the rows that are complete."""

    def __init__(
        self, shape: tuple[int, ...], look: Look, axes: tuple[Axis, Axis], workspace: Workspace
    ) -> None:
        self._look = look
        self._axes = axes
        self._shape = shape
        self._weights = axes[0].weights(), axes[1].weights()
        step = 1 if look.fine_boundaries else COARSE_STEP
        grid = (axes[0].length // step, axes[1].length // step) if look.instances else (0, 0)
        self.maps = Maps(
            classes=workspace.sheet("classes", shape, np.uint8),
            heat=workspace.sheet("heat", grid, np.float32),
            offsets=workspace.sheet("offsets", (grid[0], 2, grid[1]), np.float32),
            step=step,
            downsampling=look.downsampling,
        )
        self._semantic: Blend | None = None  # until the number of classes is known
        self._instance = Blend(3, axes[0].size // step if look.instances else 0, grid[1])
        self._written = 0  # rows of the network's input

    def add(self, row: int, columns: tuple[int, ...], heads: Heads2D) -> None:
        """The maps of a batch of tiles: of tile row number `row`, at these x."""
        factor, step = self._look.downsampling, self.maps.step
        if self._semantic is None:
            height = self._axes[0].size * factor
            self._semantic = Blend(heads.semantic.shape[1], height, self._shape[1])
        y, by_row = self._axes[0].starts[row], self._weights[0][row]
        for index, x in enumerate(columns):
            by_column = self._weights[1][self._axes[1].starts.index(x)]
            fine = by_row.repeat(factor), by_column.repeat(factor)
            self._semantic.add((y * factor, x * factor), heads.semantic[index], fine)
            if self._look.instances:
                pair = np.concatenate([heads.centres[index], heads.offsets[index]])  # (3, h, w)
                self._instance.add((y // step, x // step), pair, (by_row[::step], by_column[::step]))

    def flush(self, until: int) -> None:
        """Writes the rows of the network's input before `until`, which no later tile reaches."""
        factor, step = self._look.downsampling, self.maps.step
        if self._semantic is not None:
            last = min(until * factor, self._shape[0])
            for y0 in range(self._written * factor, last, _ROWS_AT_ONCE):
                semantic = self._semantic.rows(y0, min(y0 + _ROWS_AT_ONCE, last))
                self.maps.classes.write(y0, harden(semantic, self._look.confidence_thr))
            self._semantic.drop(until * factor)
        if self._look.instances:
            first, last = self._written // step, until // step
            for y0 in range(first, last, _ROWS_AT_ONCE):
                values = self._instance.rows(y0, min(y0 + _ROWS_AT_ONCE, last))
                self.maps.heat.write(y0, values[0])
                self.maps.offsets.write(y0, values[1:].transpose(1, 0, 2))
            self._instance.drop(last)
        self._written = until


@dataclass(frozen=True)
class Relief:
    """What was given up because the device has too little memory."""

    tile: int
    batch: int


def infer_within_memory(
    image: Rows, look: Look, engine: Engine, workspace: Workspace, on_tile: OnTile
) -> tuple[Maps, Relief | None]:
    """As `infer`; where memory runs out the batch is halved, then the tile, down to the smallest of each."""
    given_up = False
    while True:
        try:
            maps = infer(image, look, engine, workspace, on_tile)
        except OutOfMemory:
            smaller = _smaller(look, image)
            if smaller is None:
                raise
            look, given_up = smaller, True
            engine.release()
            continue
        return maps, Relief(look.cut.side, look.batch) if given_up else None


def _smaller(look: Look, image: Rows) -> Look | None:
    if look.batch > 1:
        return replace(look, batch=look.batch // 2)
    size = max(look.cut.axis(-(-side // look.downsampling)).size for side in image.shape)
    tile = min(look.cut.tile or size, size) // 2
    if tile < SMALLEST_TILE:
        return None
    return replace(look, cut=replace(look.cut, tile=tile))
