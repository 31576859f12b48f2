"""The network's maps of a whole image, however large: tiles are inferred in batches and blended."""

from collections.abc import Callable, Iterator, Sequence
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
_RENDERED_PIXELS = 2048 * 2048
"""At once, of an image: the class map at full resolution is many times larger than what the network sees."""

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
    probabilities: Sheet | None = None
    """(H, C, W) float32 probability of each of several classes, where it is wanted."""

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
    probabilities: bool = False
    """Whether the probabilities are wanted beside the classes, if there are several."""


def infer(
    images: Sequence[Rows], look: Look, engine: Engine, workspace: Workspace, on_tile: OnTile
) -> list[Maps]:
    """The maps of images (H, W) of the same shape and data type; tiles of several share a batch.

    Raises OutOfMemory where a batch of tiles is too much for the device.
    """
    small = [Shrunk(image, look.downsampling) for image in images]
    rows, columns = look.cut.axis(small[0].shape[0]), look.cut.axis(small[0].shape[1])
    shape = images[0].shape
    writers = [_Writer(shape, look, (rows, columns), workspace, str(n)) for n in range(len(images))]
    tiles = [(n, x) for n in range(len(images)) for x in columns.starts]  # of one row of tiles
    total, done = len(rows.starts) * len(tiles), 0
    on_tile(0, total)
    for index, y in enumerate(rows.starts):
        bands = [each.read(y, y + rows.size) for each in small]
        for batch in _batches(tiles, look.batch):
            greys = [_tile(bands[n][:, x : x + columns.size], look, (rows, columns)) for n, x in batch]
            places = [Place(y, x, rows.length, columns.length) for _, x in batch]
            heads = engine.predict(np.stack(greys), look.downsampling, look.fine_boundaries, places)
            for member, (n, x) in enumerate(batch):
                writers[n].add_instances(index, x, heads, member)
            for y0, y1 in _rendered_at_once(rows.size, columns.size, look.downsampling):
                semantic = heads.render(y0, y1)
                for member, (n, x) in enumerate(batch):
                    writers[n].add_semantic(index, (y0, x), semantic[member])
            done += len(batch)
            on_tile(done, total)
        for writer in writers:
            writer.flush(rows.starts[index + 1] if index + 1 < len(rows.starts) else rows.length)
    return [writer.maps for writer in writers]


def _rendered_at_once(height: int, width: int, downsampling: int) -> Iterator[tuple[int, int]]:
    """Bands of rows of a tile of the network's input, each from its first row to before its last."""
    rows = _RENDERED_PIXELS // (width * downsampling**2) // COARSE_STEP * COARSE_STEP
    rows = min(max(rows, COARSE_STEP), height)
    for y0 in range(0, height, rows):
        yield y0, min(y0 + rows, height)


def _tile(grey: GreyImage, look: Look, axes: tuple[Axis, Axis]) -> Floats:
    """A whole tile of normalised pixels; what the image lacks is the mean grey, 0."""
    tile = np.zeros((axes[0].size, axes[1].size), np.float32)
    tile[: grey.shape[0], : grey.shape[1]] = normalise(grey, look.norms, look.levels)
    return tile


def _batches(tiles: list[tuple[int, int]], size: int) -> Iterator[list[tuple[int, int]]]:
    for begin in range(0, len(tiles), size):
        yield tiles[begin : begin + size]


class _Writer:
    """Blends tiles and writes the rows that are complete."""

    def __init__(
        self, shape: tuple[int, ...], look: Look, axes: tuple[Axis, Axis], workspace: Workspace, name: str
    ) -> None:
        self._look = look
        self._workspace, self._name = workspace, name
        self._axes = axes
        self._shape = shape
        self._weights = axes[0].weights(), axes[1].weights()
        step = 1 if look.fine_boundaries else COARSE_STEP
        grid = (axes[0].length // step, axes[1].length // step) if look.instances else (0, 0)
        self.maps = Maps(
            classes=workspace.sheet(f"classes-{name}", shape, np.uint8),
            heat=workspace.sheet(f"heat-{name}", grid, np.float32),
            offsets=workspace.sheet(f"offsets-{name}", (grid[0], 2, grid[1]), np.float32),
            step=step,
            downsampling=look.downsampling,
        )
        self._semantic: Blend | None = None  # until the number of classes is known
        self._instance = Blend(3, axes[0].size // step if look.instances else 0, grid[1])
        self._is_one_tile = len(axes[0].starts) == len(axes[1].starts) == 1
        self._classified = self._placed = 0  # rows of the network's input whose maps are written

    def add_instances(self, row: int, x: int, heads: Heads2D, member: int) -> None:
        """Centres and offsets of a tile, a member of a batch: of tile row number `row`, at this x."""
        if not self._look.instances:
            return
        step = self.maps.step
        by_row, by_column = self._weights_of(row, x)
        pair = np.concatenate([heads.centres[member], heads.offsets[member]])  # (3, h, w)
        place = self._axes[0].starts[row] // step, x // step
        self._instance.add(place, pair, (by_row[::step], by_column[::step]))

    def add_semantic(self, row: int, place: tuple[int, int], semantic: Floats) -> None:
        """Probabilities (C, ..) at full resolution, from row `place[0]` of a tile on, at this x."""
        factor = self._look.downsampling
        (y0, x), rows = place, semantic.shape[1] // factor
        if self._semantic is None:
            self._semantic = self._begin(semantic.shape[0], rows)
        by_row, by_column = self._weights_of(row, x)
        weights = by_row[y0 : y0 + rows].repeat(factor), by_column.repeat(factor)
        y = self._axes[0].starts[row] + y0
        self._semantic.add((y * factor, x * factor), semantic, weights)
        if self._is_one_tile:
            self._flush_semantic(y + rows)

    def _weights_of(self, row: int, x: int) -> tuple[Floats, Floats]:
        return self._weights[0][row], self._weights[1][self._axes[1].starts.index(x)]

    def _begin(self, channels: int, rows: int) -> Blend:
        """`rows` of the network's input come at once."""
        height, width = self._shape
        if self._look.probabilities and channels > 1:
            sheet = self._workspace.sheet(
                f"probabilities-{self._name}", (height, channels, width), np.float32
            )
            self.maps = replace(self.maps, probabilities=sheet)
        held = rows if self._is_one_tile else self._axes[0].size
        return Blend(channels, held * self._look.downsampling, width)

    def flush(self, until: int) -> None:
        """Writes the rows of the network's input before `until`, which no later tile reaches."""
        if not self._is_one_tile:
            self._flush_semantic(until)
        if self._look.instances:
            self._flush_instances(until)

    def _flush_semantic(self, until: int) -> None:
        if self._semantic is None:
            return
        factor = self._look.downsampling
        last = min(until * factor, self._shape[0])
        for y0 in range(self._classified * factor, last, _ROWS_AT_ONCE):
            semantic = self._semantic.rows(y0, min(y0 + _ROWS_AT_ONCE, last))
            self.maps.classes.write(y0, harden(semantic, self._look.confidence_thr))
            if self.maps.probabilities is not None:
                self.maps.probabilities.write(y0, semantic.transpose(1, 0, 2))
        self._semantic.drop(until * factor)
        self._classified = until

    def _flush_instances(self, until: int) -> None:
        step = self.maps.step
        first, last = self._placed // step, until // step
        for y0 in range(first, last, _ROWS_AT_ONCE):
            values = self._instance.rows(y0, min(y0 + _ROWS_AT_ONCE, last))
            self.maps.heat.write(y0, values[0])
            self.maps.offsets.write(y0, values[1:].transpose(1, 0, 2))
        self._instance.drop(last)
        self._placed = until


def infer_within_memory(
    images: Sequence[Rows], look: Look, engine: Engine, workspace: Workspace, on_tile: OnTile
) -> tuple[list[Maps], Look]:
    """As `infer`; where memory runs out the batch is halved, then the tile, down to the smallest of each.

    Returns also the look that the device had memory for.
    """
    while True:
        try:
            return infer(images, look, engine, workspace, on_tile), look
        except OutOfMemory:
            smaller = _smaller(look, images)
            if smaller is None:
                raise
            look = smaller
            engine.release()


def _smaller(look: Look, images: Sequence[Rows]) -> Look | None:
    rows, columns = (look.cut.axis(-(-side // look.downsampling)) for side in images[0].shape)
    batch = min(look.batch, len(images) * len(columns.starts))  # as many as there are in a row of tiles
    if batch > 1:
        return replace(look, batch=batch // 2)
    size = max(rows.size, columns.size)
    tile = min(look.cut.tile or size, size) // 2
    if tile < SMALLEST_TILE:
        return None
    return replace(look, cut=replace(look.cut, tile=tile))
