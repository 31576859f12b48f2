"""Bodies that must not be taken for others: lysosomes, granules, vacuoles, vessels' blood, microvilli."""

from dataclasses import dataclass, replace

import numpy as np

from training.phantoms.bodies import Body, Profile
from training.phantoms.canvas import Canvas
from training.phantoms.cells import Cells
from training.phantoms.crowd import Crowd
from training.phantoms.noise import Waves, soft_step
from training.phantoms.organelle import Organelle
from training.phantoms.shapes import Tube, ball
from training.phantoms.space import Frame
from training.phantoms.tissue import Tissue

_MOST = 140
_MEMBRANE_NM = 8.0
_LARGE_NM = 90.0  # radius from which a granule could be a droplet
_PLAINLY_BRIGHT = 0.06
_BLOOD_CELL_NM = 1300.0


@dataclass(frozen=True)
class Filling:
    """A body with one membrane at most and without cristae."""

    tone: float
    """Brightness."""
    patches: float
    """Deviation of the patches inside."""
    patch_waves: Waves
    membrane: float
    """How much of the stain's full strength the membrane takes."""
    halo_nm: float
    """Width of a pale zone inside the membrane."""
    whorl_nm: float
    """Period of membranes inside, as in multilamellar bodies; 0 is none."""

    def paint(self, canvas: Canvas, profile: Profile) -> None:
        tissue = canvas.tissue
        y, x = (canvas.frame.rows_nm(side) for side in profile.window)
        tone = self.tone + self.patches * self.patch_waves.plane(canvas.z_nm, y, x)
        tone += 0.6 * tissue.texture * canvas.grain[profile.window]
        if self.halo_nm:
            pale = soft_step(self.halo_nm - profile.depth, 0.8 * canvas.frame.pixel_nm)
            tone += pale * (tissue.cytoplasm + 0.1 - tone)
        if self.whorl_nm:
            offset = np.abs((profile.depth / self.whorl_nm) % 1 - 0.5) * self.whorl_nm
            tone -= 0.7 * (tone - tissue.membrane) * canvas.line(offset, 0, _MEMBRANE_NM)
        line = canvas.line(profile.depth, 0.5 * _MEMBRANE_NM, _MEMBRANE_NM, profile.tilt)
        tone -= (tone - tissue.membrane) * line * self.membrane
        patch = canvas.image[profile.window]
        patch += profile.opacity * (tone.astype(np.float32) - patch)


def place_granules(
    rng: np.random.Generator, frame: Frame, tissue: Tissue, cells: Cells, crowd: Crowd
) -> list[Body]:
    """Dark bodies: lysosomes, dense-core granules, peroxisomes, lipofuscin."""
    median = rng.uniform(45, 180)
    darkness = rng.uniform(-0.12, 0.2)
    bodies = []
    for body, cell in _scatter(rng, frame, cells, crowd, tissue.granules, median):
        radius = float(body.radii.max())
        # Large ones are never as even as lipid, and patches must show: not finer than pixels, not all black.
        # None is as grey as a matrix: a thin mitochondrion whose cristae do not show is no more than that.
        large = radius > _LARGE_NM
        darkest = 0.14 if large else 0.02
        tone = max(darkest, tissue.membrane + darkness + rng.normal(0, 0.07))
        skin = Filling(
            tone=tissue.off_matrix(tone, float(cells.tone[cell]), darkest),
            patches=rng.choice([0.1, 0.18]) if large else rng.choice([0.01, 0.06, 0.16]),
            patch_waves=Waves.draw(rng, max(12.0, rng.uniform(0.3 if large else 0.15, 0.6) * radius), 14),
            membrane=rng.uniform(0, 1),
            halo_nm=rng.uniform(12, 40) if rng.random() < 0.25 else 0.0,
            whorl_nm=rng.uniform(20, 40) if rng.random() < 0.12 else 0.0,
        )
        bodies.append(Body(Organelle.GRANULE, body, skin, cell, 12))
    return bodies


def place_vacuoles(
    rng: np.random.Generator, frame: Frame, tissue: Tissue, cells: Cells, crowd: Crowd
) -> list[Body]:
    """Pale bodies with one membrane: endosomes, multivesicular bodies, swollen reticulum."""
    median = rng.uniform(60, 320)
    bodies = []
    for body, cell in _scatter(rng, frame, cells, crowd, tissue.vacuoles, median):
        brighter = rng.uniform(-0.1, 0.18)
        # Membrane and content tell the brighter ones from lipid that was washed out.
        least_patches, least_membrane = (0.0, 0.6) if brighter < _PLAINLY_BRIGHT else (0.08, 0.9)
        skin = Filling(
            tone=min(0.92, tissue.cytoplasm + brighter),
            patches=max(least_patches, rng.choice([0.0, 0.03, 0.1])),
            patch_waves=Waves.draw(rng, rng.uniform(20, 70), 24),
            membrane=rng.uniform(least_membrane, 1),
            halo_nm=0.0,
            whorl_nm=rng.uniform(25, 60) if rng.random() < 0.08 else 0.0,
        )
        bodies.append(Body(Organelle.VACUOLE, body, skin, cell, 12))
    return bodies


def _scatter(
    rng: np.random.Generator,
    frame: Frame,
    cells: Cells,
    crowd: Crowd,
    per_um2: float,
    median_nm: float,
) -> list[tuple[Tube, int]]:
    """Round and bean-shaped bodies of about `median_nm` radius that found a place, with their cells."""
    layers = 1 + frame.extent_nm[0] / (2 * median_nm)
    count = min(int(rng.poisson(per_um2 * frame.area_um2 * layers)), frame.most(_MOST))
    if not count:
        return []
    radii = median_nm * np.exp(rng.normal(0, 0.35, count))
    points = frame.scatter(rng, count, 0.6 * median_nm)
    place = cells.locate(points)
    found = []
    for index in np.flatnonzero(place.room > 0.7 * radii):
        radius = float(radii[index])
        body = ball(points[index], radius, rng.normal(0, rng.choice([0.1, 0.5]) * radius, 3))
        bumps = Waves.draw(rng, 0.9 * radius, 8)
        body = replace(body, bumps=bumps, bumps_nm=0.07 * radius)
        if crowd.admit(body, 0.97):
            found.append((body, int(place.cell[index])))
    return found


@dataclass(frozen=True)
class Filler:
    """Bodies of one kind that lie in a lumen."""

    radius_nm: float
    elongation: float
    """Deviation of their length from a ball's, in radii."""
    tone: float
    """Brightness."""
    patches: float
    """Deviation of the patches inside."""
    kind: Organelle


def place_in_lumen(rng: np.random.Generator, frame: Frame, tissue: Tissue, cells: Cells) -> list[Body]:
    """Microvilli and debris outside cells, blood cells in vessels."""
    crowd = Crowd()
    radius = rng.uniform(35, 130)
    share = rng.choice([0.0, 0.12, 0.4])
    layers = 1 + frame.extent_nm[0] / (2 * radius)
    count = min(int(share * frame.area_um2 * layers * 1e6 / (np.pi * radius**2)), frame.most(4 * _MOST))
    # Dark ones are long and mottled: a round, even one would be a lipid droplet.
    villi = Filler(radius, 0.4, tissue.cytoplasm - 0.02, 0.01, Organelle.VACUOLE)
    blood = Filler(_BLOOD_CELL_NM, 0.9, tissue.membrane + rng.uniform(0.05, 0.25), 0.06, Organelle.GRANULE)
    bodies = [
        *_fill_lumen(rng, frame, cells, crowd, count, villi),
        *_fill_lumen(rng, frame, cells, crowd, 6, blood),
    ]
    return bodies[: frame.most(_MOST)]


def _fill_lumen(
    rng: np.random.Generator, frame: Frame, cells: Cells, crowd: Crowd, count: int, filler: Filler
) -> list[Body]:
    if not count or not cells.outside.any():
        return []
    points = frame.scatter(rng, count, 0.6 * filler.radius_nm)
    place = cells.locate(points)
    bodies = []
    for index in np.flatnonzero(cells.outside[place.cell] & (place.edge > 0.8 * filler.radius_nm)):
        radius = filler.radius_nm * float(np.exp(rng.normal(0, 0.2)))
        body = ball(points[index], radius, rng.normal(0, filler.elongation * radius, 3))
        if crowd.admit(body, 1.0):
            # Patches are no coarser than those of granules, however large the body.
            waves = Waves.draw(rng, min(0.5 * radius, 150.0), 24)
            tone, membrane = filler.tone + rng.normal(0, 0.03), rng.uniform(0.5, 1)
            skin = Filling(tone, filler.patches, waves, membrane, 0.0, 0.0)
            bodies.append(Body(filler.kind, body, skin, int(place.cell[index])))
    return bodies
