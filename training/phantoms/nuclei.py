"""Nuclei: envelope, chromatin, nucleoli."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantoms.bodies import Body, Profile
from training.phantoms.canvas import Canvas
from training.phantoms.cells import Cells
from training.phantoms.noise import Waves, soft_step
from training.phantoms.organelle import Organelle
from training.phantoms.shapes import Ellipsoid
from training.phantoms.tissue import Tissue

_MEMBRANE_NM = 8.0


@dataclass(frozen=True)
class Chromatin:
    """How the nuclei of one specimen are filled."""

    light: float
    """Brightness of euchromatin."""
    dark: float
    """Brightness of heterochromatin."""
    clumps_nm: float
    threshold: float
    """How little heterochromatin there is, about -1 to 2."""
    softness: float
    lining_nm: float
    """Thickness of heterochromatin along the envelope."""
    mottle: float
    mottle_nm: float
    envelope: float
    """How much of the stain's full strength the envelope takes."""
    gap_nm: float
    """Between the envelope's two membranes."""
    nucleolus: float
    """Brightness."""


@dataclass(frozen=True)
class Nucleus:
    """The look of one."""

    chromatin: Chromatin
    clumps: Waves
    mottle: Waves
    nucleoli: tuple[tuple[NDArray[np.float64], float], ...]
    """Centres (3,) and radii in nanometres."""

    def paint(self, canvas: Canvas, profile: Profile) -> None:
        chromatin, window = self.chromatin, profile.window
        y, x = canvas.frame.rows_nm(window[0]), canvas.frame.rows_nm(window[1])
        clumps = self.clumps.plane(canvas.z_nm, y, x)
        mottle = self.mottle.plane(canvas.z_nm, y, x)
        lining = 2.2 * np.exp(-np.maximum(profile.depth, 0) / chromatin.lining_nm)
        dense = clumps + 0.3 * mottle + lining - chromatin.threshold
        closed = soft_step(dense.astype(np.float32), chromatin.softness)
        tone = chromatin.light + (chromatin.dark - chromatin.light) * closed
        tone += (1 - 0.7 * closed) * np.float32(chromatin.mottle) * mottle
        for centre, radius in self.nucleoli:
            square = (canvas.z_nm - centre[0]) ** 2 + (y - centre[1])[:, None] ** 2 + (x - centre[2]) ** 2
            rough = np.float32(radius) * (1 + 0.25 * mottle)
            inside = soft_step((rough - np.sqrt(square)).astype(np.float32), 25.0)
            tone += inside * (chromatin.nucleolus + 0.3 * chromatin.mottle * mottle - tone)
        tone += 1.1 * canvas.tissue.texture * canvas.grain[window]
        # The space between the membranes belongs to the nucleus as little as to the cytoplasm: it is pale.
        between = canvas.line(profile.depth, 0.5 * chromatin.gap_nm, 0.5 * chromatin.gap_nm, profile.tilt)
        tone += 0.5 * between * (canvas.tissue.cytoplasm - tone)
        outer = canvas.line(profile.depth, 0.5 * _MEMBRANE_NM, _MEMBRANE_NM, profile.tilt)
        inner = canvas.line(profile.depth, chromatin.gap_nm, 1.4 * _MEMBRANE_NM, profile.tilt)
        membranes = np.maximum(outer, inner) * chromatin.envelope
        tone -= (tone - canvas.tissue.membrane) * membranes
        patch = canvas.image[window]
        patch += profile.opacity * (tone.astype(np.float32) - patch)


def place_nuclei(rng: np.random.Generator, tissue: Tissue, cells: Cells) -> list[Body]:
    """The nuclei that cells were drawn around."""
    chromatin = _draw_chromatin(rng, tissue)
    return [
        Body(Organelle.NUCLEUS, nucleus, _draw_skin(rng, chromatin, nucleus), None)
        for nucleus in cells.nuclei
    ]


def _draw_chromatin(rng: np.random.Generator, tissue: Tissue) -> Chromatin:
    light = tissue.cytoplasm + rng.uniform(-0.14, 0.16)
    dark = light - rng.choice([rng.uniform(0.05, 0.14), rng.uniform(0.12, 0.38)], p=[0.35, 0.65])
    return Chromatin(
        light=light,
        dark=dark,
        clumps_nm=float(np.exp(rng.uniform(np.log(140), np.log(1100)))),
        threshold=rng.uniform(-0.7, 1.8),
        softness=rng.uniform(0.1, 0.6),
        lining_nm=float(rng.choice([30.0, rng.uniform(60, 250)])),
        mottle=rng.choice([rng.uniform(0.01, 0.05), rng.uniform(0.04, 0.14)]),
        mottle_nm=rng.uniform(25, 110),
        envelope=rng.uniform(0.5, 1),
        gap_nm=rng.uniform(22, 50),
        nucleolus=dark - rng.uniform(0, 0.12),
    )


def _draw_skin(rng: np.random.Generator, chromatin: Chromatin, body: Ellipsoid) -> Nucleus:
    nucleoli = []
    for _ in range(rng.choice([0, 1, 2, 3], p=[0.35, 0.35, 0.2, 0.1])):
        offset = 0.45 * body.radius_nm * rng.uniform(-1, 1, 3)
        nucleoli.append((body.centre + offset, rng.uniform(0.12, 0.28) * body.radius_nm))
    return Nucleus(
        chromatin,
        Waves.draw(rng, chromatin.clumps_nm, 40),
        Waves.draw(rng, chromatin.mottle_nm, 90),
        tuple(nucleoli),
    )
