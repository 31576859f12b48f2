"""Names of what a pixel can belong to."""

from enum import IntEnum


class Organelle(IntEnum):
    """What a pixel belongs to."""

    CYTOPLASM = 0
    OUTSIDE = 1  # resin, the lumen of a vessel
    MYELIN = 2
    NUCLEUS = 3
    MITOCHONDRION = 4
    DROPLET = 5  # lipid
    GRANULE = 6  # lysosomes, dense-core granules, peroxisomes, blood cells
    VACUOLE = 7
