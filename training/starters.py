"""The starter models: what each one segments, and at which scale it learns."""

from dataclasses import dataclass, field
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
    native_pixel_size_nm: float
    """Median pixel size of its training crops, at which it does best: large objects want coarse pixels."""
    crops: int
    """How many it learns from."""
    defaults: dict[str, Any]  # parameters are of several types
    weaknesses: str
    """Where it is known to fail, for its card."""
    stack_defaults: dict[str, Any] = field(default_factory=dict)  # as above


STARTERS = {
    starter.family: starter
    for starter in (
        Starter(
            Family.MITONET,
            Structure.MITOCHONDRIA,
            "MitoNet starter",
            "Mitochondria",
            native_pixel_size_nm=11.0,
            crops=46_000,
            # Chosen on phantoms that are neither trained nor scored on: without them crumbs count as objects.
            defaults={
                "confidence_thr": 0.4,
                "center_confidence_thr": 0.3,
                "min_distance_object_centers": 5,
                "min_size": 160,
            },
            weaknesses="Small pieces (under 0.2 micrometres), pale and nearly invisible mitochondria, "
            "inverted contrast (set `invert`), images far from its pixel size; it takes dark "
            "granules and clumps of chromatin for mitochondria.",
            # Slices are thick: most mitochondria are seen in fewer than five, and many in one.
            stack_defaults={"min_slice_size": 90, "min_size": 130, "min_extent": 1},
        ),
        Starter(
            Family.NUCLEONET,
            Structure.NUCLEI,
            "NucleoNet starter",
            "Nuclei",
            native_pixel_size_nm=30.0,
            crops=20_000,
            defaults={"confidence_thr": 0.7, "min_distance_object_centers": 21, "min_size": 2000},
            weaknesses="Nuclei that show only a tip (under 1.8 square micrometres) or an edge, large nuclei "
            "of coarse texture, fields much smaller than a nucleus.",
            # What 2000 pixels are in five slices.
            stack_defaults={"min_slice_size": 500, "min_size": 10_000},
        ),
        Starter(
            Family.DROPNET,
            Structure.LIPID_DROPLETS,
            "DropNet starter",
            "Lipid droplets",
            native_pixel_size_nm=10.0,
            crops=40_000,
            defaults={"confidence_thr": 0.35, "min_distance_object_centers": 5, "min_size": 500},
            weaknesses="Droplets under 0.25 micrometres, droplets that differ from cytoplasm by little; it "
            "takes some dark granules and mitochondria, and corners of bright resin, for droplets, more so "
            "in volumes.",
            # Most droplets are seen in a few slices only.
            stack_defaults={"min_slice_size": 200, "min_size": 1000, "min_extent": 2},
        ),
    )
}
