"""Cells that fill all space: whose is a point, and how far is the plasma membrane."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from training.phantoms.noise import FloatImage, Waves
from training.phantoms.shapes import Ellipsoid, draw_ellipsoid, grid_points, random_turn, refine
from training.phantoms.space import Frame
from training.phantoms.tissue import Tissue

_NEIGHBOURS = 4
_MERGED = 0.25
_BEND_SCALES = (0.7, 0.18)  # of the cells' diameter
_STRIDE = 2  # slices are laid out on every second pixel; membranes hide the steps
_POINTS_AT_ONCE = 1 << 15
_MOST_NUCLEI = 9
_SHELL = 150  # points around a nucleus that its cell holds for sure


@dataclass(frozen=True)
class Place:
    """Where points lie; every array is (n,)."""

    cell: NDArray[np.int64]
    edge: NDArray[np.float64]
    """Distance to the cell's membrane, in nanometres; negative between cells."""
    tilt: NDArray[np.float64]
    """0 where a slice cuts that membrane straight, 1 where it runs along it."""
    room: NDArray[np.float64]
    """Distance to whatever keeps organelles away; negative where they have no place."""


@dataclass(frozen=True)
class CellSlice:
    """Cells on the pixels of one slice; every array is (H, W)."""

    cell: NDArray[np.int32]
    edge: FloatImage
    tilt: FloatImage


@dataclass(frozen=True)
class Fabric:
    """Seeds whose nearest points are their cells', in space that is turned, stretched and bent."""

    tree: KDTree
    turn: NDArray[np.float64]
    """(3, 3) from nanometres to stretched space."""
    bends: tuple[tuple[Waves, ...], ...]
    """Coarse and fine, each for the three axes."""
    bends_nm: tuple[float, ...]

    def bent(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """(n, 3) where points (n, 3) come to lie among the seeds."""
        moved = points @ self.turn.T
        for size, waves in zip(self.bends_nm, self.bends, strict=True):
            moved += size * np.stack([wave.at(points) for wave in waves], axis=1)
        return moved


@dataclass(frozen=True)
class Gaps:
    """Space between cells, in places swollen by what lies there: glia, matrix."""

    narrow_nm: float
    swelling_nm: float
    swellings: Waves

    def at(self, points: NDArray[np.floating]) -> NDArray[np.float64] | float:
        """Half widths (n,) in nanometres."""
        if not self.swelling_nm:
            return 0.5 * self.narrow_nm
        swollen = np.maximum(self.swellings.at(points) - 0.5, 0) * self.swelling_nm
        return np.asarray(0.5 * (self.narrow_nm + swollen))


@dataclass(frozen=True)
class Vessel:
    """A lumen with a wall of one cell."""

    lumen: Ellipsoid
    wall_nm: float


@dataclass(frozen=True)
class Cells:
    """Bent and stretched Voronoi cells, some of them one, with nuclei and vessels among them."""

    fabric: Fabric
    owner: NDArray[np.int64]
    """(seeds,) cell of each."""
    gaps: Gaps
    nuclei: tuple[Ellipsoid, ...]
    vessels: tuple[Vessel, ...]
    """Wall and lumen of each are the last cells."""
    outside: NDArray[np.bool_]
    """(cells,) lumen and resin."""
    sheath_nm: NDArray[np.float64]
    """(cells,) thickness of myelin inside the membrane."""
    tone: NDArray[np.float32]
    """(cells,) brightness relative to the tissue's."""

    def locate(self, points: NDArray[np.floating]) -> Place:
        """What lies at (n, 3) points (z, y, x) in nanometres."""
        tree, turn = self.fabric.tree, self.fabric.turn
        distance, index = (np.asarray(each) for each in tree.query(self.fabric.bent(points), k=_NEIGHBOURS))
        ids = self.owner[index]  # (n, k)
        other = np.argmax(ids != ids[:, :1], axis=1)
        rows = np.arange(len(points))
        across = tree.data[index[:, 0]] - tree.data[index[rows, other]]
        span = np.linalg.norm(across, axis=1) + 1e-6
        slope = across @ turn / span[:, None]  # gradient of the distance, in space
        steepness = np.linalg.norm(slope, axis=1) + 1e-6
        edge = (distance[rows, other] ** 2 - distance[:, 0] ** 2) / (2 * span * steepness)
        edge[other == 0] = distance[other == 0, -1]
        tilt = np.abs(slope[:, 0]) / steepness
        return self._with_guests(points, Place(ids[:, 0], edge - self.gaps.at(points), tilt, edge))

    def _with_guests(self, points: NDArray[np.floating], place: Place) -> Place:
        cell, edge, tilt = place.cell, place.edge, place.tilt
        first = len(self.outside) - 2 * len(self.vessels)
        for number, vessel in enumerate(self.vessels):
            depth, slant = vessel.lumen.depth(points)
            for layer, inward in enumerate((depth + vessel.wall_nm, depth)):
                nearer = (np.abs(inward) < edge) | (inward > 0)
                cell = np.where(inward > 0, first + 2 * number + layer, cell)
                tilt = np.where(nearer, slant, tilt)
                edge = np.where(nearer, np.abs(inward), edge)
            edge = np.where(depth < 0, np.minimum(edge, -depth), edge)
        room = edge - self.sheath_nm[cell]
        for nucleus in self.nuclei:
            room = np.minimum(room, -nucleus.depth(points)[0])
        return Place(cell, edge, tilt, np.where(self.outside[cell], -1.0, room))

    def cut(self, frame: Frame, z_nm: float) -> CellSlice:
        """Cells of the slice at `z_nm`."""
        height, width = frame.plane
        rows = (np.arange(0, height, _STRIDE) + 0.5) * frame.pixel_nm
        columns = (np.arange(0, width, _STRIDE) + 0.5) * frame.pixel_nm
        band = max(1, _POINTS_AT_ONCE // columns.size)
        places = [
            self.locate(grid_points(z_nm, rows[start : start + band], columns))
            for start in range(0, rows.size, band)
        ]
        coarse = (rows.size, columns.size)
        cell = np.concatenate([place.cell.astype(np.int32) for place in places]).reshape(coarse)
        edge = np.concatenate([place.edge.astype(np.float32) for place in places]).reshape(coarse)
        tilt = np.concatenate([place.tilt.astype(np.float32) for place in places]).reshape(coarse)
        fine = cell.repeat(_STRIDE, 0).repeat(_STRIDE, 1)[:height, :width]
        return CellSlice(np.ascontiguousarray(fine), refine(edge, frame.plane), refine(tilt, frame.plane))


def draw_cells(rng: np.random.Generator, frame: Frame, tissue: Tissue) -> Cells:
    """Cells around and in the block."""
    fabric = _draw_fabric(rng, frame, tissue)
    nuclei = _draw_nuclei(rng, frame, tissue)
    vessels = _draw_vessels(rng, frame, nuclei)
    owner, somata = _draw_owners(rng, tissue, fabric, nuclei)
    total = len(owner) + 2 * len(vessels)
    outside = rng.random(total) < tissue.outside
    outside[somata] = False
    outside[len(owner) :] = [layer == 1 for _ in vessels for layer in (0, 1)]
    tone = rng.normal(0, rng.uniform(0.01, 0.07), total)
    tone[rng.random(total) < 0.1] -= min(0.2, max(0.05, rng.uniform(0.2, 0.65) * tissue.contrast))
    # A thin process as dark as mitochondria would be one.
    tone = np.maximum(tone, -max(0.05, 0.45 * tissue.contrast))
    tone[outside] = rng.uniform(0.86, 1.0) - tissue.cytoplasm
    sheath = rng.uniform(0.05, 0.24, total) * tissue.cell_nm * (rng.random(total) < tissue.myelin)
    sheath[somata] = 0
    sheath[len(owner) :] = 0
    sheath[outside] = 0
    gaps = Gaps(
        float(rng.choice([4, 12, 22, 50], p=[0.35, 0.35, 0.2, 0.1])),
        min(tissue.glia_nm, 0.25 * tissue.cell_nm),
        Waves.draw(rng, 0.5 * tissue.cell_nm, 20),
    )
    return Cells(fabric, owner, gaps, nuclei, vessels, outside, sheath, tone.astype(np.float32))


def _draw_fabric(rng: np.random.Generator, frame: Frame, tissue: Tissue) -> Fabric:
    diameter = tissue.cell_nm
    stretch = tissue.stretch ** np.array([2 / 3, -1 / 3, -1 / 3])
    turn = np.diag(1 / stretch) @ random_turn(rng, tissue.tilted)
    pad = 1.8 * diameter * stretch[0]
    count = int(np.clip(np.prod(frame.extent_nm + 2 * pad) / diameter**3, 2 * _NEIGHBOURS, 20_000))
    seeds = rng.uniform(-pad, frame.extent_nm + pad, (count, 3)) @ turn.T
    return Fabric(
        KDTree(seeds),
        turn,
        tuple(tuple(Waves.draw(rng, share * diameter, 10) for _ in range(3)) for share in _BEND_SCALES),
        (rng.uniform(0.1, 0.35) * diameter, rng.uniform(0.02, 0.075) * diameter),
    )


def _draw_owners(
    rng: np.random.Generator, tissue: Tissue, fabric: Fabric, nuclei: tuple[Ellipsoid, ...]
) -> tuple[NDArray[np.int64], list[int]]:
    """Cell of each seed, and the cells that hold nuclei; cells of several seeds are not convex."""
    tree = fabric.tree
    owner = np.arange(tree.n)
    merged = rng.random(tree.n) < _MERGED
    owner[merged] = owner[np.asarray(tree.query(tree.data[merged], k=2)[1])[:, 1]]
    for seed in np.flatnonzero(rng.random(tree.n) < rng.choice([0.0, 0.04, 0.1])):
        reach = rng.uniform(0.8, 1.6) * tissue.cell_nm
        owner[tree.query_ball_point(tree.data[seed], reach)] = owner[seed]
    somata = []
    for nucleus in nuclei:
        rays = rng.standard_normal((_SHELL, 3))
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        surface = 1 / np.linalg.norm(rays @ nucleus.shrink.T, axis=1) + 2 * nucleus.bumps_nm
        shell = nucleus.centre + rays * (surface + rng.uniform(80, 600))[:, None]
        held = np.asarray(tree.query(fabric.bent(np.vstack([nucleus.centre, shell])))[1])
        owner[np.isin(owner, owner[held])] = owner[held[0]]
        somata.append(int(owner[held[0]]))
    return owner, somata


def _draw_nuclei(rng: np.random.Generator, frame: Frame, tissue: Tissue) -> tuple[Ellipsoid, ...]:
    if rng.random() > tissue.nuclei:
        return ()
    per_area = 0.3 * frame.area_um2 / (np.pi * (tissue.nucleus_nm / 1000) ** 2)
    flattest, bumps = rng.uniform(0.35, 0.9), rng.uniform(0.02, 0.12)
    spacing = rng.uniform(250, 2000)
    nuclei: list[Ellipsoid] = []
    for _ in range(1 + min(int(rng.poisson(per_area)), _MOST_NUCLEI)):
        radius = tissue.nucleus_nm * float(np.exp(rng.normal(0, 0.2)))
        centre = _beside_surface(rng, frame, radius)
        free = [np.linalg.norm(centre - each.centre) - radius - each.radius_nm for each in nuclei]
        if min(free, default=np.inf) > spacing:
            nuclei.append(draw_ellipsoid(rng, centre, radius, flattest, bumps))
    return tuple(nuclei)


def _draw_vessels(
    rng: np.random.Generator, frame: Frame, nuclei: tuple[Ellipsoid, ...]
) -> tuple[Vessel, ...]:
    if rng.random() > 0.1:
        return ()
    radius, wall = rng.uniform(900, 3500), rng.uniform(120, 600)
    centre = _beside_surface(rng, frame, radius)
    if any(np.linalg.norm(centre - each.centre) < radius + wall + each.radius_nm for each in nuclei):
        return ()
    return (Vessel(draw_ellipsoid(rng, centre, radius, 0.5, 0.05), wall),)


def _beside_surface(rng: np.random.Generator, frame: Frame, radius: float) -> NDArray[np.float64]:
    """(3,) middle of a body whose surface runs through the block: nobody can name what fills the image."""
    away = rng.standard_normal(3) * (0.6, 1, 1)
    away *= rng.uniform(0.5, 1) * radius / np.linalg.norm(away)
    away[0] = np.clip(away[0], -0.6 * radius, 0.6 * radius)
    return np.asarray(frame.scatter(rng, 1)[0] + away)
