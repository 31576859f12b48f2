"""What one specimen is like: how large, how many, how dark."""

from dataclasses import dataclass, fields

import numpy as np

Range = tuple[float, float]

LEAST_FROM_MATRIX = 0.1
"""How far other bodies keep from the matrix: of its grey they would be mitochondria without cristae."""

_FAINT = 0.14
_LARGE_NM = 420.0
_COARSE_NM = 11.5
_THIN_NM = 300.0
_DARKEST = 0.1


@dataclass(frozen=True)
class Tissue:
    """One specimen and its stain. Brightness runs from 0 (stained) to 1 (resin)."""

    cytoplasm: float
    """Brightness of the cytoplasm."""
    membrane: float
    """Brightness of membranes."""
    contrast: float
    """How much darker than the cytoplasm the mitochondrial matrix is."""
    cristae: float
    """How much darker than the matrix cristae are."""
    texture: float
    """Deviation of the cytoplasm's grain."""
    section_nm: float
    """Thickness that a slice shows at once: what is cut at a slant is smeared over it."""
    cell_nm: float
    """Median diameter of cells and processes."""
    stretch: float
    """How much longer than thick they are."""
    outside: float
    """Share of cells that are empty: lumen, resin."""
    glia_nm: float
    """How much what lies between cells swells."""
    myelin: float
    """Share of cells in a sheath."""
    nuclei: float
    """Chance that the field was chosen for a nucleus."""
    nucleus_nm: float
    """Median radius of nuclei."""
    mitochondrion_nm: float
    """Median width of mitochondria."""
    tubular: float
    """Share of mitochondria that are long."""
    length: float
    """Length of the long ones, in widths."""
    tilted: float
    """0: long mitochondria lie in the slice; 1: in any direction."""
    crowding: float
    """Fraction of the cytoplasm that mitochondria aim to fill."""
    clustered: float
    """Share of mitochondria that lie beside another."""
    granules: float
    """Per square micrometre, as all numbers below."""
    droplets: float
    vacuoles: float
    vesicles: float
    reticulum: float
    """Strength, 0 to 1, as all below."""
    wraps: float
    """Reticulum around mitochondria."""
    glycogen: float

    def matrix(self, cell_tone: float = 0.0) -> float:
        """Brightness of the mitochondrial matrix in a cell that is `cell_tone` brighter than others.

        What a dark cell is stained with reaches its mitochondria less.
        """
        return self.cytoplasm + 0.6 * cell_tone - self.contrast

    def off_matrix(self, tone: float, cell_tone: float, darkest: float) -> float:
        """`tone`, or a brightness on its side of the matrix that is `LEAST_FROM_MATRIX` away from it.

        Where that would be darker than `darkest`, it is one on the brighter side.
        """
        matrix = self.matrix(cell_tone)
        darker = min(tone, matrix - LEAST_FROM_MATRIX)
        return darker if tone < matrix and darker >= darkest else max(tone, matrix + LEAST_FROM_MATRIX)

    @property
    def faint(self) -> bool:
        """Whether mitochondria are hardly darker than the cytoplasm: then their membranes must tell."""
        return self.contrast < _FAINT

    @property
    def needs_cristae(self) -> bool:
        """Whether a mitochondrion without cristae could be a vacuole or a lipid droplet."""
        return self.faint or self.mitochondrion_nm > _LARGE_NM or self.droplets > 0


@dataclass(frozen=True)
class Habitat:
    """From where to where the values of a kind of tissue reach; the fields are those of `Tissue`."""

    cytoplasm: Range = (0.56, 0.82)
    membrane: Range = (0.1, 0.34)
    contrast: Range = (0.1, 0.36)
    cristae: Range = (0.05, 0.3)
    texture: Range = (0.01, 0.06)
    section_nm: Range = (10, 70)
    cell_nm: Range = (500, 4500)
    stretch: Range = (1, 2.5)
    outside: Range = (0, 0.07)
    glia_nm: Range = (-150, 100)
    myelin: Range = (-0.1, 0.04)
    nuclei: Range = (0, 0.9)
    nucleus_nm: Range = (1100, 3800)
    mitochondrion_nm: Range = (180, 800)
    tubular: Range = (0.1, 0.8)
    length: Range = (3, 14)
    tilted: Range = (0, 1)
    crowding: Range = (0.04, 0.3)
    clustered: Range = (0, 0.7)
    granules: Range = (-0.2, 1.0)
    droplets: Range = (-0.15, 0.35)
    vacuoles: Range = (-0.1, 0.6)
    vesicles: Range = (-8, 16)
    reticulum: Range = (0, 0.9)
    wraps: Range = (-0.6, 0.8)
    glycogen: Range = (-0.6, 0.5)


_NEUROPIL = Habitat(
    cytoplasm=(0.64, 0.84),
    membrane=(0.14, 0.36),
    contrast=(0.2, 0.46),
    cristae=(0.02, 0.15),
    section_nm=(15, 90),
    texture=(0.02, 0.07),
    cell_nm=(350, 1300),
    stretch=(1.5, 5),
    outside=(-0.04, 0.04),
    glia_nm=(0, 350),
    myelin=(-0.03, 0.06),
    nuclei=(0, 0.55),
    mitochondrion_nm=(170, 380),
    tubular=(0.4, 0.95),
    length=(4, 20),
    crowding=(0.08, 0.24),
    granules=(0, 0.8),
    droplets=(-0.25, 0.1),
    vesicles=(0, 25),
    reticulum=(-0.3, 0.5),
    wraps=(-1.5, 0.3),
    glycogen=(-2, 0.3),
)
_GLAND = Habitat(
    contrast=(0.07, 0.24),
    cristae=(0.1, 0.28),
    cell_nm=(3500, 12000),
    stretch=(1, 1.6),
    myelin=(-1, -1),
    mitochondrion_nm=(400, 1100),
    tubular=(0, 0.35),
    length=(2, 6),
    crowding=(0.15, 0.5),
    droplets=(-0.1, 0.5),
    wraps=(0, 1),
    glycogen=(-0.3, 0.8),
)
_CULTURE = Habitat(
    cytoplasm=(0.55, 0.75),
    contrast=(0.1, 0.3),
    cell_nm=(3000, 15000),
    outside=(0, 0.15),
    myelin=(-1, -1),
    nuclei=(0.3, 1),
    nucleus_nm=(2500, 5500),
    mitochondrion_nm=(190, 450),
    tubular=(0.4, 0.95),
    length=(4, 22),
    crowding=(0.04, 0.15),
    vacuoles=(0, 0.8),
    reticulum=(0.2, 0.9),
)
_FATTY = Habitat(cell_nm=(2500, 9000), droplets=(0.1, 0.6), myelin=(-1, -1), nuclei=(0.2, 0.9))
_HABITATS = (_NEUROPIL, _GLAND, _CULTURE, _FATTY, Habitat())
_SHARES = (0.32, 0.22, 0.16, 0.1, 0.2)
_LOGARITHMIC = {"cell_nm", "nucleus_nm", "mitochondrion_nm", "length", "section_nm", "stretch"}


def draw_tissue(rng: np.random.Generator, pixel_nm: float) -> Tissue:
    """A specimen: a kind of tissue, and values out of its ranges. Below zero a range means: none.

    Where pixels are too coarse or mitochondria too thin for cristae to show, darkness tells them.
    """
    habitat = _HABITATS[rng.choice(len(_HABITATS), p=_SHARES)]
    values = {each.name: _draw(rng, each.name, getattr(habitat, each.name)) for each in fields(Tissue)}
    # Some stains leave the matrix as bright as the cytoplasm or brighter: cristae and membranes tell then.
    if rng.random() < 0.04:
        values["contrast"] = rng.uniform(-0.12, 0.05)
    if pixel_nm > _COARSE_NM or values["mitochondrion_nm"] < _THIN_NM:
        values["contrast"] = max(values["contrast"], rng.uniform(_FAINT, 0.3))
    if values["mitochondrion_nm"] > _LARGE_NM:
        values["cristae"] = max(values["cristae"], rng.uniform(0.1, 0.25))
    if values["contrast"] < _FAINT:
        values["cristae"] = max(values["cristae"], rng.uniform(0.14, 0.32))
        values["membrane"] = min(values["membrane"], values["cytoplasm"] - 0.32)
    # Where there are lipid droplets only cristae tell a round, dark mitochondrion from one: they must show.
    if values["droplets"] > 0:
        values["cristae"] = max(values["cristae"], rng.uniform(0.1, 0.25))
        values["contrast"] = min(values["contrast"], values["cytoplasm"] - values["cristae"] - _DARKEST)
    values["contrast"] = min(values["contrast"], values["cytoplasm"] - values["membrane"] - 0.02)
    return Tissue(**values)


def _draw(rng: np.random.Generator, name: str, reach: Range) -> float:
    if name in _LOGARITHMIC:
        return float(np.exp(rng.uniform(*np.log(reach))))
    return max(0.0, float(rng.uniform(*reach))) if reach[0] < 0 else float(rng.uniform(*reach))
