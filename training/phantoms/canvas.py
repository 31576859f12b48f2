"""The slice that organelles are painted on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phantoms.cells import Cells, CellSlice
from training.phantoms.noise import FloatImage, smooth_noise, soft_step
from training.phantoms.organelle import Organelle
from training.phantoms.shapes import Section
from training.phantoms.space import Frame, Window
from training.phantoms.tissue import Tissue

_FAR_NM = -1e4


@dataclass
class Canvas:
    """One slice while it is painted; every array is (H, W)."""

    frame: Frame
    tissue: Tissue
    z_nm: float
    rng: np.random.Generator
    """For what differs from slice to slice, such as grain."""
    image: FloatImage
    cells: CellSlice
    grain: FloatImage
    """The texture of stained protein, of unit deviation."""
    kinds: NDArray[np.uint8]
    """Organelle of each pixel."""
    owner: NDArray[np.int32]
    """The body that each pixel belongs to, or -1."""
    depth: FloatImage
    """How deep a pixel lies in the body that it is deepest in, in nanometres; negative outside."""
    second: FloatImage
    """The same for the next body."""
    nearest: NDArray[np.uint8]
    """Kind of the body that `depth` is about, within reach also outside of it."""
    room: FloatImage
    """1 in cytoplasm away from membranes and bodies, 0 elsewhere; known once bodies are entered."""

    @property
    def shape(self) -> tuple[int, int]:
        return self.frame.plane

    @property
    def rows_nm(self) -> NDArray[np.float64]:
        return self.frame.rows_nm(slice(0, self.shape[0]))

    @property
    def columns_nm(self) -> NDArray[np.float64]:
        return self.frame.rows_nm(slice(0, self.shape[1]))

    def px(self, nanometres: float) -> float:
        return self.frame.px(nanometres)

    def enter(self, body: int, kind: Organelle, section: Section) -> None:
        """Let a body compete for the pixels of its section: they go to the one they are deepest in."""
        window = section.window
        held = self.depth[window]
        wins = section.depth > held
        self.second[window] = np.where(wins, held, np.maximum(self.second[window], section.depth))
        self.owner[window][wins & (section.depth > 0)] = body
        self.nearest[window][wins] = kind
        held[wins] = section.depth[wins]

    def clear_bodies(self) -> None:
        """Forget what was entered."""
        self.owner[:] = -1
        self.depth[:] = _FAR_NM
        self.second[:] = _FAR_NM
        self.nearest[:] = Organelle.CYTOPLASM

    def find_room(self) -> None:
        """See where fine structures have a place."""
        free = np.minimum(self.cells.edge - 22, -self.depth - 12)
        self.room[:] = soft_step(free, 0.8 * self.frame.pixel_nm) * (self.kinds == Organelle.CYTOPLASM)

    def give_back(self, window: Window, mask: NDArray[np.bool_]) -> None:
        """Make pixels belong to nobody again."""
        self.owner[window][mask] = -1
        self.depth[window][mask] = _FAR_NM

    def line(
        self,
        distance: FloatImage,
        centre_nm: float,
        width_nm: float,
        tilt: FloatImage | float = 0.0,
    ) -> FloatImage:
        """How much of a membrane each pixel holds, 0 to 1, given its distance to some surface in nanometres.

        A slice has thickness: a membrane cut at a slant is wide and faint.
        """
        width = max(width_nm, 0.62 * self.frame.pixel_nm)
        smeared = np.sqrt(width**2 + (0.5 * self.tissue.section_nm * np.asarray(tilt, np.float32)) ** 2)
        profile = np.exp(-(((distance - np.float32(centre_nm)) / smeared) ** 2))
        return np.asarray(profile * (np.float32(width) / smeared) ** 0.6, np.float32)

    def stain(self, amount: FloatImage, window: Window = np.s_[:, :]) -> None:
        """Pull pixels towards the brightness of membranes; `amount` runs from 0 to 1."""
        patch = self.image[window]
        patch -= (patch - np.float32(self.tissue.membrane)) * amount


def prime(frame: Frame, tissue: Tissue, cells: Cells, z_nm: float, rng: np.random.Generator) -> Canvas:
    """An empty slice that knows its cells."""
    plane = frame.plane
    return Canvas(
        frame=frame,
        tissue=tissue,
        z_nm=z_nm,
        rng=rng,
        image=np.full(plane, tissue.cytoplasm, np.float32),
        cells=cells.cut(frame, z_nm),
        grain=_draw_grain(rng, frame),
        kinds=np.full(plane, Organelle.CYTOPLASM, np.uint8),
        owner=np.full(plane, -1, np.int32),
        depth=np.full(plane, _FAR_NM, np.float32),
        second=np.full(plane, _FAR_NM, np.float32),
        nearest=np.full(plane, Organelle.CYTOPLASM, np.uint8),
        room=np.zeros(plane, np.float32),
    )


def _draw_grain(rng: np.random.Generator, frame: Frame) -> FloatImage:
    """Protein of the size of ribosomes, and what it clumps to."""
    fine = smooth_noise(rng, frame.plane, float(np.clip(frame.px(12), 0.5, 2)))
    coarse = smooth_noise(rng, frame.plane, float(np.clip(frame.px(30), 1.2, 5)))
    return np.asarray(0.85 * fine + 0.5 * coarse, np.float32)
