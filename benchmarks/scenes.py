"""Seeded maps such as a network gives: the input of what is measured after it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from workers.images.sheet import Sheet
from workers.inference.engine import COARSE_STEP
from workers.inference.maps import Maps
from workers.inference.rows import Workspace

_GRAIN = 12.0  # pixels; how coarse the foreground is


@dataclass(frozen=True)
class Scene:
    """Maps of a square image of (H, H) pixels whose heads are at every fourth: h = H / 4."""

    classes: npt.NDArray[np.uint8]
    """(H, H) half of it foreground."""
    heat: npt.NDArray[np.float32]
    """(h, h) with one peak per centre."""
    offsets: npt.NDArray[np.float32]
    """(2, h, h) way to the nearest centre with some noise: dy, dx in pixels of the image."""


def make_scene(side: int, centres: int, seed: int = 1) -> Scene:
    """A scene of `side` x `side` pixels (a multiple of 4)."""
    rng = np.random.default_rng(seed)
    grid = side // COARSE_STEP
    places = _scatter(rng, grid, centres)
    heat = np.zeros((grid, grid), np.float32)
    heat[places[:, 0], places[:, 1]] = rng.uniform(0.3, 1, len(places)).astype(np.float32)
    points = np.argwhere(np.ones((grid, grid), np.bool_))
    nearest = np.asarray(KDTree(places).query(points)[1])
    way = COARSE_STEP * (places[nearest] - points).T.reshape(2, grid, grid)
    noise = rng.normal(0, COARSE_STEP, way.shape)
    field = ndimage.gaussian_filter(rng.standard_normal((side, side), np.float32), _GRAIN, mode="wrap")
    classes = (field > np.median(field)).astype(np.uint8)
    return Scene(classes, heat, (way + noise).astype(np.float32))


def _scatter(rng: np.random.Generator, grid: int, count: int) -> npt.NDArray[np.intp]:
    """(count, 2) places on the grid, no two of them neighbours."""
    cells = (grid - 1) // 2
    if count > cells * cells:
        raise ValueError(f"{count} centres are more than a grid of {grid} x {grid} has room for")
    chosen = rng.choice(cells * cells, count, replace=False)
    return np.stack(np.divmod(np.sort(chosen), cells), axis=1).astype(np.intp) * 2 + 1


def lay_out(scene: Scene, workspace: Workspace, times: int = 1) -> Maps:
    """The scene, repeated `times` in both directions, as the sheets that the pipeline reads."""
    side, grid = len(scene.classes), len(scene.heat)
    classes = workspace.sheet("classes", (side * times, side * times), np.uint8)
    heat = workspace.sheet("heat", (grid * times, grid * times), np.float32)
    offsets = workspace.sheet("offsets", (grid * times, 2, grid * times), np.float32)
    for index in range(times):
        _write(classes, index * side, np.tile(scene.classes, (1, times)))
        _write(heat, index * grid, np.tile(scene.heat, (1, times)))
        _write(offsets, index * grid, np.tile(scene.offsets.transpose(1, 0, 2), (1, 1, times)))
    return Maps(classes, heat, offsets, COARSE_STEP, downsampling=1)


def _write(sheet: Sheet, y0: int, rows: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> None:
    sheet.write(y0, rows)
