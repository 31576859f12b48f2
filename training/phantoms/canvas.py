"""The sheet that organelles are painted on."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from training.phantoms.noise import FloatImage


class Organelle(IntEnum):
    """What a pixel belongs to."""

    CYTOPLASM = 0
    OUTSIDE = 1  # resin, vessel lumen, vacuole
    MYELIN = 2
    NUCLEUS = 3
    MITOCHONDRION = 4
    GRANULE = 5  # lysosomes, dense-core granules, peroxisomes
    DROPLET = 6  # lipid


@dataclass(frozen=True)
class Style:
    """What one specimen and its stain look like. Brightness runs from 0 (stained) to 1 (resin)."""

    pixel_size_nm: float
    cytoplasm: float
    membrane: float
    matrix: float
    """Brightness of the mitochondrial matrix."""
    cristae: float
    """How much darker than the matrix cristae are."""
    mitochondrion_nm: float
    """Median width of mitochondria."""
    cell_nm: float
    """Median diameter of cells and processes."""
    crowding: float
    """Fraction of the cytoplasm that mitochondria aim to fill."""
    texture: float
    """Deviation of the cytoplasm's grain."""

    def px(self, nanometres: float) -> float:
        return nanometres / self.pixel_size_nm


@dataclass
class Canvas:
    """One phantom while it is painted; every array is (H, W)."""

    style: Style
    rng: np.random.Generator
    image: FloatImage
    cells: NDArray[np.int32]
    """Cell of each pixel."""
    edge: FloatImage
    """Distance to the cell's boundary, in pixels."""
    kinds: NDArray[np.uint8]
    """Organelle of each pixel."""
    instances: NDArray[np.int32]
    """Identity over all kinds of organelle; 0 is none."""
    count: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        return self.image.shape[0], self.image.shape[1]

    def px(self, nanometres: float) -> float:
        return self.style.px(nanometres)

    def claim(self, window: tuple[slice, slice], mask: NDArray[np.bool_], kind: Organelle) -> None:
        """Make the pixels of `mask` one instance of `kind`."""
        self.count += 1
        self.kinds[window][mask] = kind
        self.instances[window][mask] = self.count

    def labels(self, kind: Organelle) -> NDArray[np.uint16]:
        """(H, W) instances of `kind`, numbered 1, 2, … without gaps."""
        ids = np.where(self.kinds == kind, self.instances, 0)
        present = np.unique(ids)
        table = np.zeros(self.count + 1, np.uint16)
        table[present[present > 0]] = np.arange(1, np.count_nonzero(present) + 1)
        return table[ids]
