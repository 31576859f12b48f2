"""Phantoms: an image or a volume, and the truth about it."""

from dataclasses import dataclass, fields
from enum import StrEnum

import cc3d
import numpy as np
from numpy.typing import NDArray

from training.phantoms.looks import draw_look, meter, photograph
from training.phantoms.organelle import Organelle
from training.phantoms.scene import Scene, cut_scene, draw_scene
from training.phantoms.space import Frame
from training.phantoms.tissue import draw_tissue

Labels = NDArray[np.uint16]

_FINEST_NM, _TYPICAL_NM, _COARSEST_NM, _SPREAD = 2.0, 9.0, 20.0, 0.45
_SMALLEST = 60  # pixels of an image, voxels of a volume


class Structure(StrEnum):
    """What phantoms have labels of; the values are the class names of model cards."""

    MITOCHONDRIA = "mito"
    NUCLEI = "nuclei"
    LIPID_DROPLETS = "lipid"


@dataclass(frozen=True)
class Truth:
    """Label maps (H, W) or (Z, Y, X) of one shape, and what every pixel belongs to.

    Each map numbers its objects 1, 2, … without gaps; 0 is everything else. Every object is one piece, where
    pixels that touch at a corner hang together, and no pixel belongs to two objects. In a volume an object
    keeps its number through all slices.
    """

    mitochondria: Labels
    nuclei: Labels
    lipid_droplets: Labels
    kinds: NDArray[np.uint8]
    """`Organelle` of each pixel: what has no label map, too."""

    def of(self, structure: Structure) -> Labels:
        """The label map of one structure."""
        return {
            Structure.MITOCHONDRIA: self.mitochondria,
            Structure.NUCLEI: self.nuclei,
            Structure.LIPID_DROPLETS: self.lipid_droplets,
        }[structure]


@dataclass(frozen=True)
class Phantom:
    """An image that looks like electron microscopy, with its truth."""

    image: NDArray[np.uint8]
    """(H, W) grey values."""
    truth: Truth
    """(H, W)"""
    pixel_size_nm: float


@dataclass(frozen=True)
class VolumePhantom:
    """A stack of slices of one block of tissue, with its truth."""

    image: NDArray[np.uint8]
    """(Z, Y, X) grey values."""
    truth: Truth
    """(Z, Y, X)"""
    voxel_size_nm: tuple[float, float, float]
    """z, y, x"""


def make_phantom(
    seed: int, shape: tuple[int, int] = (512, 512), pixel_size_nm: float | None = None
) -> Phantom:
    """The phantom of `seed`: the same seed, shape and pixel size give the same pixels.

    Where `pixel_size_nm` is None it is drawn from 2 to 20 nm, most from 6 to 14.
    """
    rng = np.random.default_rng(seed)
    drawn = float(np.clip(_TYPICAL_NM * np.exp(rng.normal(0, _SPREAD)), _FINEST_NM, _COARSEST_NM))
    pixel_nm = pixel_size_nm or drawn
    stack = _make(rng, Frame((1, *shape), pixel_nm, pixel_nm))
    truth = Truth(*(getattr(stack.truth, field.name)[0] for field in fields(Truth)))
    return Phantom(stack.image[0], truth, pixel_nm)


def make_volume_phantom(
    seed: int,
    shape: tuple[int, int, int] = (32, 256, 256),
    voxel_size_nm: tuple[float, float, float] = (25.0, 10.0, 10.0),
) -> VolumePhantom:
    """The volume (Z, Y, X) of `seed`, with voxels of `voxel_size_nm` (z, y, x).

    Raises ValueError where pixels are not square: y and x must be the same.
    """
    slice_nm, pixel_nm, width_nm = voxel_size_nm
    if pixel_nm != width_nm:
        message = f"pixels of phantoms are square, not {pixel_nm} x {width_nm} nm"
        raise ValueError(message)
    return _make(np.random.default_rng(seed), Frame(shape, slice_nm, pixel_nm))


def _make(rng: np.random.Generator, frame: Frame) -> VolumePhantom:
    scene = draw_scene(rng, frame, draw_tissue(rng, frame.pixel_nm))
    look = draw_look(rng, frame.pixel_nm)
    image = np.empty(frame.shape, np.uint8)
    owner = np.empty(frame.shape, np.int32)
    kinds = np.empty(frame.shape, np.uint8)
    exposure = None
    for index, each in enumerate(rng.spawn(frame.shape[0])):
        cut = cut_scene(scene, index, each)
        exposure = exposure or meter(cut.image)
        image[index] = photograph(each, cut.image, look, exposure)
        owner[index], kinds[index] = cut.owner, cut.kinds
    truth = Truth(
        _number(scene, owner, Organelle.MITOCHONDRION),
        _number(scene, owner, Organelle.NUCLEUS),
        _number(scene, owner, Organelle.DROPLET),
        kinds,
    )
    return VolumePhantom(image, truth, (frame.slice_nm, frame.pixel_nm, frame.pixel_nm))


def _number(scene: Scene, owner: NDArray[np.int32], kind: Organelle) -> Labels:
    """Labels of all bodies of a kind; a body that is seen in several pieces has a label for each."""
    ours = np.array([body.kind is kind for body in scene.bodies] + [False])  # -1 is nobody
    bodies = np.where(ours[owner], owner + 1, 0)
    plane = owner.shape[0] == 1
    pieces = cc3d.connected_components(bodies[0] if plane else bodies, connectivity=8 if plane else 26)
    large = np.bincount(pieces.ravel()) >= _SMALLEST
    large[0] = False
    numbers = np.where(large, np.cumsum(large), 0).astype(np.uint16)
    return numbers[pieces].reshape(owner.shape)
