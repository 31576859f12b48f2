"""What bodies lie in: cytoplasm, myelin, plasma membranes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.phantoms.canvas import Canvas
from training.phantoms.cells import Cells
from training.phantoms.noise import Waves, soft_step
from training.phantoms.organelle import Organelle
from training.phantoms.tissue import Tissue


@dataclass(frozen=True)
class Ground:
    """Cytoplasm, myelin and membranes of one specimen."""

    width_nm: float
    """Thickness of a plasma membrane."""
    gap_tone: float
    """Brightness between cells."""
    membranes: float
    """How much of the stain's full strength they take."""
    myelin: float
    """Brightness."""
    lamella_nm: float
    patches: Waves

    def paint(self, canvas: Canvas, cells: Cells) -> None:
        """Everything that is no body, except fine structures."""
        cell, edge = canvas.cells.cell, canvas.cells.edge
        outside = cells.outside[cell]
        canvas.kinds[outside] = Organelle.OUTSIDE
        canvas.image += cells.tone[cell]
        canvas.image += np.where(outside, 0.25, 1) * np.float32(canvas.tissue.texture) * canvas.grain
        self._paint_myelin(canvas, _sheaths(canvas, cells))
        between = soft_step(-edge, 0.6 * canvas.frame.pixel_nm)
        canvas.image += between * np.float32(0.7) * (np.float32(self.gap_tone) - canvas.image)
        line = canvas.line(edge, 0.5 * self.width_nm, self.width_nm, canvas.cells.tilt)
        canvas.stain(line * np.float32(self.membranes))

    def _paint_myelin(self, canvas: Canvas, sheath: NDArray[np.bool_]) -> None:
        if not sheath.any():
            return
        period = max(self.lamella_nm, 2.5 * canvas.frame.pixel_nm)
        waves = np.cos(2 * np.pi * canvas.cells.edge / np.float32(period))
        tone = self.myelin + 0.1 * waves + 0.03 * canvas.grain
        tone += 0.05 * self.patches.plane(canvas.z_nm, canvas.rows_nm, canvas.columns_nm)
        canvas.image[sheath] = tone[sheath]
        canvas.kinds[sheath] = Organelle.MYELIN


def _sheaths(canvas: Canvas, cells: Cells) -> NDArray[np.bool_]:
    """(H, W) where the slice shows myelin: all around an axon, and never in the place of one."""
    cell, edge = canvas.cells.cell, canvas.cells.edge
    deepest = np.asarray(ndimage.maximum(edge, cell, np.arange(len(cells.sheath_nm))))
    return np.asarray(edge < np.minimum(cells.sheath_nm, 0.5 * deepest).astype(np.float32)[cell])


def draw_ground(rng: np.random.Generator, tissue: Tissue) -> Ground:
    """The membranes of a specimen.

    What swells between cells is paler than mitochondria, and myelin is darker: a strip of either has
    membranes at both sides, and grey would make it a mitochondrion.
    """
    return Ground(
        width_nm=rng.uniform(7, 16),
        gap_tone=max(rng.uniform(0.3, 0.9), tissue.cytoplasm - 0.6 * tissue.contrast),
        membranes=rng.uniform(0.6, 1),
        myelin=max(0.05, min(rng.uniform(0.05, 0.3), tissue.membrane, tissue.matrix() - 0.12)),
        lamella_nm=rng.uniform(11, 30),
        patches=Waves.draw(rng, 150, 32),
    )
