"""The starter models: what each one segments, and at which scale it learns."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from training.phantoms import Structure


class Family(StrEnum):
    """Names of models that are trained here."""

    MITONET = "mitonet"
    NUCLEONET = "nucleonet"
    DROPNET = "dropnet"


@dataclass(frozen=True)
class Starter:
    """One model that is trained on phantoms."""

    family: Family
    structure: Structure
    title: str
    objects: str
    """What it segments, as a sentence begins with it."""
    zoom: float
    """Median zoom of training crops: large objects are learnt from smaller images."""
    native_pixel_size_nm: float
    """Pixel size at which it does best: that of most phantoms, over the zoom."""
    defaults: dict[str, Any]  # parameters are of several types


STARTERS = {
    starter.family: starter
    for starter in (
        Starter(
            Family.MITONET,
            Structure.MITOCHONDRIA,
            "MitoNet starter",
            "Mitochondria",
            zoom=0.85,
            native_pixel_size_nm=11.3,
            # Chosen on phantoms that are neither trained nor scored on: without them crumbs count as objects.
            defaults={"min_distance_object_centers": 7, "min_size": 60},
        ),
        Starter(
            Family.NUCLEONET,
            Structure.NUCLEI,
            "NucleoNet starter",
            "Nuclei",
            zoom=0.45,
            native_pixel_size_nm=20.0,
            defaults={"min_distance_object_centers": 21, "min_size": 400},
        ),
        Starter(
            Family.DROPNET,
            Structure.LIPID_DROPLETS,
            "DropNet starter",
            "Lipid droplets",
            zoom=0.75,
            native_pixel_size_nm=12.0,
            defaults={"min_distance_object_centers": 5, "min_size": 60},
        ),
    )
}
