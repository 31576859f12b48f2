"""A block of tissue, and what its slices show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantoms.bodies import Body, cut_bodies, paint_bodies
from training.phantoms.canvas import prime
from training.phantoms.cells import Cells, draw_cells
from training.phantoms.crowd import Crowd
from training.phantoms.droplets import place_droplets
from training.phantoms.fine import Layer, draw_layers
from training.phantoms.ground import Ground, draw_ground
from training.phantoms.lookalikes import place_granules, place_in_lumen, place_vacuoles
from training.phantoms.mitochondria import place_mitochondria
from training.phantoms.noise import FloatImage
from training.phantoms.nuclei import place_nuclei
from training.phantoms.space import Frame
from training.phantoms.tissue import Tissue


@dataclass(frozen=True)
class Scene:
    """Tissue in which everything has its place, before anything is cut."""

    frame: Frame
    tissue: Tissue
    cells: Cells
    ground: Ground
    layers: tuple[Layer, ...]
    bodies: tuple[Body, ...]


@dataclass(frozen=True)
class Cut:
    """One slice, each (H, W): brightness, number of the body there or -1, and `Organelle`."""

    image: FloatImage
    owner: NDArray[np.int32]
    kinds: NDArray[np.uint8]


def draw_scene(rng: np.random.Generator, frame: Frame, tissue: Tissue) -> Scene:
    """Cells, and bodies in them; the larger ones choose their places first."""
    cells, crowd = draw_cells(rng, frame, tissue), Crowd()
    bodies = (
        *place_nuclei(rng, tissue, cells),
        *place_droplets(rng, frame, tissue, cells, crowd),
        *place_mitochondria(rng, frame, tissue, cells, crowd),
        *place_granules(rng, frame, tissue, cells, crowd),
        *place_vacuoles(rng, frame, tissue, cells, crowd),
        *place_in_lumen(rng, frame, tissue, cells),
    )
    layers = tuple(draw_layers(rng, frame, tissue, cells))
    return Scene(frame, tissue, cells, draw_ground(rng, tissue), layers, bodies)


def cut_scene(scene: Scene, index: int, rng: np.random.Generator) -> Cut:
    """Slice `index` of the scene; `rng` gives what differs from slice to slice."""
    canvas = prime(scene.frame, scene.tissue, scene.cells, index * scene.frame.slice_nm, rng)
    scene.ground.paint(canvas, scene.cells)
    seen = cut_bodies(canvas, scene.bodies)
    canvas.find_room()
    for layer in scene.layers:
        layer.paint(canvas)
    paint_bodies(canvas, scene.bodies, seen)
    return Cut(canvas.image, canvas.owner, canvas.kinds)
