"""Lipid droplets: round, homogeneous, bright or dark, without a double membrane."""

from dataclasses import dataclass

import numpy as np

from training.phantoms.bodies import Body, Profile
from training.phantoms.canvas import Canvas
from training.phantoms.cells import Cells
from training.phantoms.crowd import Crowd
from training.phantoms.growth import unit
from training.phantoms.noise import Waves
from training.phantoms.organelle import Organelle
from training.phantoms.shapes import ball
from training.phantoms.space import Frame
from training.phantoms.tissue import LEAST_FROM_MATRIX, Tissue

_MOST = 150
_LEAST_CONTRAST = 0.16


@dataclass(frozen=True)
class Droplet:
    """The look of one."""

    tone: float
    """Brightness."""
    rim: float
    """Brightness of the rim relative to the inside."""
    rim_nm: float
    shading: float
    """How much brighter the middle is than the border."""
    unevenness: Waves

    def paint(self, canvas: Canvas, profile: Profile) -> None:
        y, x = (canvas.frame.rows_nm(side) for side in profile.window)
        deepest = max(float(profile.depth.max()), 1.0)
        tone = self.tone + self.shading * (np.clip(profile.depth / deepest, 0, 1) - 0.5)
        tone = tone + 0.012 * self.unevenness.plane(canvas.z_nm, y, x)
        tone += 0.15 * canvas.tissue.texture * canvas.grain[profile.window]
        tone += self.rim * canvas.line(profile.depth, 0.5 * self.rim_nm, self.rim_nm, profile.tilt)
        patch = canvas.image[profile.window]
        patch += profile.opacity * (tone.astype(np.float32) - patch)


def place_droplets(
    rng: np.random.Generator, frame: Frame, tissue: Tissue, cells: Cells, crowd: Crowd
) -> list[Body]:
    """Droplets, alone and in clusters whose members touch."""
    median = float(np.exp(rng.uniform(np.log(150), np.log(900))))
    layers = 1 + frame.extent_nm[0] / (2 * median)
    dense = min(tissue.droplets, 0.35e6 / (np.pi * median**2))
    count = min(int(rng.poisson(1.5 * dense * frame.area_um2 * layers)), frame.most(_MOST))
    if not count:
        return []
    radii = median * np.exp(rng.normal(0, rng.uniform(0.1, 0.45), count))
    points = frame.scatter(rng, count, 0.6 * median)
    clustered, packing = rng.choice([0.2, 0.8]), rng.uniform(0.88, 1.05)
    for index in range(1, count):
        if rng.random() < clustered:
            way = unit(rng.standard_normal(3) * (0.4, 1, 1))
            points[index] = points[index - 1] + packing * 1.01 * (radii[index - 1] + radii[index]) * way
    place = cells.locate(points)
    tones = cells.tone[place.cell]
    tone, spread = _draw_tone(rng, tissue), rng.choice([0.01, 0.05])
    # A dark line around a bright inside would be the membrane of a vacuole.
    rim = rng.uniform(-0.25 if tone < tissue.cytoplasm else -0.06, 0.15)
    rim_nm, shading = rng.uniform(6, 22), rng.normal(0, 0.04)
    bodies = []
    for chosen in np.flatnonzero(place.room > 0.8 * radii):
        index = int(chosen)
        radius = float(radii[index])
        own, cell_tone = tone + rng.normal(0, spread), float(tones[index])
        if abs(own - tissue.cytoplasm - cell_tone) < _LEAST_CONTRAST:
            continue
        if abs(own - tissue.matrix(cell_tone)) < LEAST_FROM_MATRIX:
            continue
        body = ball(points[index], radius, rng.normal(0, 0.12 * radius, 3))
        if crowd.admit(body, packing):
            uneven = Waves.draw(rng, 0.8 * radius, 8)
            skin = Droplet(own, rim, rim_nm, shading, uneven)
            bodies.append(Body(Organelle.DROPLET, body, skin, int(place.cell[index]), 15))
    return bodies


def _draw_tone(rng: np.random.Generator, tissue: Tissue) -> float:
    """Well apart from cytoplasm and matrix: darker where osmium took, brighter where solvents washed out."""
    if rng.random() < 0.6:
        darker = rng.uniform(0.18, 0.6, 8)
        apart = np.abs(darker - tissue.contrast) > LEAST_FROM_MATRIX
        return float(max(0.02, tissue.cytoplasm - darker[np.argmax(apart)]))
    return float(min(1.05, tissue.cytoplasm + rng.uniform(0.18, 0.4)))
