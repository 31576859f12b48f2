"""A whole phantom: tissue, organelles, photograph."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantoms.bystanders import (
    place_droplets,
    place_granules,
    place_vacuoles,
    scatter_fine_structures,
)
from training.phantoms.canvas import Canvas, Organelle, Style
from training.phantoms.looks import Microscope, photograph
from training.phantoms.mitochondria import place_mitochondria
from training.phantoms.tissue import (
    lay_out_cells,
    paint_cytoplasm,
    paint_membranes,
    paint_nucleus,
    place_nucleus,
    wrap_in_myelin,
)

_FINEST_NM, _COARSEST_NM = 8.0, 16.0


@dataclass(frozen=True)
class Phantom:
    """An image that looks like electron microscopy, with its truth."""

    image: NDArray[np.uint8]
    """(H, W) grey values."""
    labels: NDArray[np.uint16]
    """(H, W) mitochondria, 1, 2, … without gaps; 0 is everything else."""
    pixel_size_nm: float


def make_phantom(
    seed: int, shape: tuple[int, int] = (512, 512), pixel_size_nm: float | None = None
) -> Phantom:
    """The phantom of `seed`: the same seed and shape give the same pixels.

    Where `pixel_size_nm` is None it is drawn from 8 to 16 nm.
    """
    rng = np.random.default_rng(seed)
    style = _draw_style(rng, pixel_size_nm)
    canvas = lay_out_cells(rng, shape, style)
    _paint(canvas)
    image = photograph(rng, canvas.image, Microscope(rng.choice(list(Microscope))))
    return Phantom(image, canvas.labels(Organelle.MITOCHONDRION), style.pixel_size_nm)


def _draw_style(rng: np.random.Generator, pixel_size_nm: float | None) -> Style:
    drawn = float(np.exp(rng.uniform(np.log(_FINEST_NM), np.log(_COARSEST_NM))))
    cytoplasm = rng.uniform(0.58, 0.82)
    # Nearly all stains leave the matrix darker than the cytoplasm; few as bright or brighter.
    contrast = rng.uniform(0.12, 0.38) if rng.random() < 0.96 else rng.uniform(-0.08, 0.12)
    return Style(
        pixel_size_nm=pixel_size_nm or drawn,
        cytoplasm=cytoplasm,
        membrane=rng.uniform(0.1, 0.32),
        matrix=cytoplasm - contrast,
        cristae=rng.uniform(0.05, 0.3) if contrast > 0.12 else rng.uniform(0.2, 0.4),
        mitochondrion_nm=float(np.clip(np.exp(rng.normal(np.log(360), 0.38)), 180, 900)),
        cell_nm=float(np.exp(rng.uniform(np.log(500), np.log(4500)))),
        crowding=rng.uniform(0.06, 0.3),
        texture=rng.uniform(0.02, 0.09),
    )


def _paint(canvas: Canvas) -> None:
    rng = canvas.rng
    nucleus = place_nucleus(canvas) if rng.random() < 0.3 else None
    paint_cytoplasm(canvas)
    if rng.random() < 0.3:
        wrap_in_myelin(canvas)
    if nucleus is not None:
        paint_nucleus(canvas, nucleus)
    paint_membranes(canvas)
    place_mitochondria(canvas)
    place_granules(canvas)
    place_droplets(canvas)
    place_vacuoles(canvas)
    scatter_fine_structures(canvas)
