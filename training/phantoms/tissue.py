"""Cells: their outlines, membranes, myelin, nuclei, cytoplasm."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from training.phantoms.canvas import Canvas, Organelle, Style
from training.phantoms.noise import FloatImage, bump, smooth_noise, soft_step

_GRID = 2  # cells are laid out on every second pixel; membranes hide the steps
_NEIGHBOURS = 4


def lay_out_cells(rng: np.random.Generator, shape: tuple[int, int], style: Style) -> Canvas:
    """An empty canvas whose pixels know their cell and how far its boundary is."""
    diameter = style.px(style.cell_nm)
    coarse = (-(-shape[0] // _GRID), -(-shape[1] // _GRID))
    points = _warped_grid(rng, coarse, diameter / _GRID)
    low, high = points.min(axis=0) - diameter / _GRID, points.max(axis=0) + diameter / _GRID
    count = max(_NEIGHBOURS + 2, int(np.prod(high - low) / (diameter / _GRID) ** 2))
    seeds = rng.uniform(low, high, (count, 2))
    # Seeds of one cell together make outlines that are not convex.
    owner = np.arange(1, count + 1)
    merged = rng.random(count) < 0.25
    neighbours = np.asarray(KDTree(seeds).query(seeds[merged], k=2)[1])
    owner[merged] = owner[neighbours[:, 1]]
    ids, edge = _nearest_cells(points, seeds, owner)
    ids_full = ids.reshape(coarse).repeat(_GRID, 0).repeat(_GRID, 1)[: shape[0], : shape[1]]
    edge_full = ndimage.zoom(edge.reshape(coarse), _GRID, order=1)[: shape[0], : shape[1]] * _GRID
    return Canvas(
        style=style,
        rng=rng,
        image=np.full(shape, style.cytoplasm, np.float32),
        cells=np.ascontiguousarray(ids_full, np.int32),
        edge=np.asarray(edge_full, np.float32),
        kinds=np.zeros(shape, np.uint8),
        instances=np.zeros(shape, np.int32),
    )


def _warped_grid(rng: np.random.Generator, coarse: tuple[int, int], diameter: float) -> FloatImage:
    """(H·W, 2) coordinates, bent and stretched so that processes run along a direction."""
    yx = np.indices(coarse).astype(np.float32)  # (2, H, W)
    amplitude = rng.uniform(0.12, 0.4) * diameter
    yx += amplitude * np.stack([smooth_noise(rng, coarse, 0.7 * diameter) for _ in range(2)])
    yx += 0.06 * diameter * np.stack([smooth_noise(rng, coarse, 0.2 * diameter) for _ in range(2)])
    angle, stretch = rng.uniform(0, np.pi), np.exp(rng.uniform(0, 1.0))
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = np.diag([np.sqrt(stretch), 1 / np.sqrt(stretch)]) @ turn @ yx.reshape(2, -1)
    return np.asarray(turned.T, np.float32)


def _nearest_cells(
    points: FloatImage, seeds: NDArray[np.float64], owner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], FloatImage]:
    """Cell of each point and the distance to the bisector towards the nearest other cell."""
    distance, index = (np.asarray(each) for each in KDTree(seeds).query(points, k=_NEIGHBOURS))
    ids = owner[index]  # (N, k)
    other = np.argmax(ids != ids[:, :1], axis=1)
    rows = np.arange(len(points))
    span = np.linalg.norm(seeds[index[:, 0]] - seeds[index[rows, other]], axis=1)
    edge = (distance[rows, other] ** 2 - distance[:, 0] ** 2) / (2 * span + 1e-6)
    edge[other == 0] = distance[other == 0, -1]
    return ids[:, 0], np.asarray(edge, np.float32)


def paint_cytoplasm(canvas: Canvas) -> None:
    """Give each cell its own brightness and grain; some are lumen or resin."""
    rng, style = canvas.rng, canvas.style
    count = int(canvas.cells.max()) + 1
    base = rng.normal(style.cytoplasm, 0.05, count)
    base[rng.random(count) < 0.12] -= rng.uniform(0.05, 0.2)
    empty = rng.random(count) < rng.choice([0.0, 0.03, 0.12])
    base[empty] = rng.uniform(0.88, 1.0)
    outside = empty[canvas.cells]
    canvas.kinds[outside] = Organelle.OUTSIDE
    grain = style.texture * smooth_noise(rng, canvas.shape, rng.uniform(1.0, 3.5))
    clouds = rng.uniform(0, 0.05) * smooth_noise(rng, canvas.shape, canvas.px(rng.uniform(100, 400)))
    canvas.image[:] = base.astype(np.float32)[canvas.cells] + np.where(outside, 0.3, 1) * (grain + clouds)


def paint_membranes(canvas: Canvas) -> None:
    """Two dark lines between cells, in places cut at a slant and smeared."""
    rng = canvas.rng
    width = max(0.7, canvas.px(rng.uniform(7, 12)))
    gap = canvas.px(rng.choice([4, 10, 20, 45], p=[0.3, 0.4, 0.2, 0.1]))
    slant = np.clip(smooth_noise(rng, canvas.shape, canvas.px(350)) - 0.8, 0, 2)
    smear = 1 + slant * rng.uniform(1, 5)
    depth = (canvas.image - canvas.style.membrane) / np.sqrt(smear)
    line = bump((canvas.edge - gap / 2 - width) / smear, 0, width)
    canvas.image -= depth * line
    between = soft_step(gap / 2 - canvas.edge)
    canvas.image += between * 0.5 * (rng.uniform(0.6, 1.0) - canvas.image)


def wrap_in_myelin(canvas: Canvas) -> None:
    """Thick dark sheaths around a few cells; the cell inside shrinks by the sheath."""
    rng = canvas.rng
    for cell in rng.permutation(np.unique(canvas.cells))[: rng.integers(1, 4)]:
        thickness = canvas.px(rng.uniform(80, 300))
        inside = canvas.cells == cell
        if canvas.edge[inside].max() < 1.5 * thickness:
            continue
        sheath = inside & (canvas.edge < thickness)
        lamellae = 0.12 * np.cos(2 * np.pi * canvas.edge / max(2.5, canvas.px(rng.uniform(12, 30))))
        tone = rng.uniform(0.05, 0.3) + lamellae + 0.04 * smooth_noise(rng, canvas.shape, 6)
        canvas.image[sheath] = tone[sheath]
        canvas.kinds[sheath] = Organelle.MYELIN
        canvas.edge[inside] = np.maximum(canvas.edge[inside] - thickness, 0)


def place_nucleus(canvas: Canvas) -> FloatImage:
    """Carve a cell with a nucleus out of the tissue; gives the distance into the nucleus, in pixels."""
    rng, (height, width) = canvas.rng, canvas.shape
    radius = canvas.px(rng.uniform(1200, 3500))
    centre = rng.uniform(-0.1, 1.1, 2) * (height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    angle, squeeze = rng.uniform(0, np.pi), rng.uniform(0.55, 1)
    along = np.cos(angle) * (y - centre[0]) + np.sin(angle) * (x - centre[1])
    across = (np.cos(angle) * (x - centre[1]) - np.sin(angle) * (y - centre[0])) / squeeze
    wobble = 0.1 * radius * smooth_noise(rng, canvas.shape, 0.5 * radius)
    depth = squeeze * (radius - np.hypot(along, across)) + wobble
    rim = canvas.px(rng.uniform(200, 1500))
    mine = depth > -rim
    canvas.cells[mine] = canvas.cells.max() + 1
    canvas.edge[:] = np.where(mine, depth + rim, np.minimum(canvas.edge, -depth - rim))
    return np.asarray(depth, np.float32)


def paint_nucleus(canvas: Canvas, depth: FloatImage) -> None:
    """Chromatin inside a double envelope."""
    rng = canvas.rng
    inside = depth > 0
    if not inside.any():
        return
    clumps = smooth_noise(rng, canvas.shape, canvas.px(rng.uniform(150, 700)))
    rim = 1.2 * np.exp(-depth / canvas.px(150))
    chromatin = soft_step(clumps + rim - rng.uniform(-0.3, 1), rng.uniform(0.1, 0.5))
    light, dark = rng.uniform(-0.08, 0.18), rng.uniform(-0.3, -0.08)
    grain = 1.5 * canvas.style.texture * smooth_noise(rng, canvas.shape, rng.uniform(1.5, 5))
    tone = canvas.style.cytoplasm + light + (dark - light) * chromatin + grain
    canvas.image[inside] = tone[inside]
    width, gap = max(0.7, canvas.px(9)), canvas.px(rng.uniform(25, 45))
    envelope = np.maximum(bump(depth, 0, width), bump(depth, gap, 1.3 * width))
    canvas.image -= (canvas.image - canvas.style.membrane) * envelope * rng.uniform(0.6, 1)
    canvas.claim((slice(None), slice(None)), inside, Organelle.NUCLEUS)
