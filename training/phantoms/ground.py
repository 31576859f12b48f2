"""What bodies lie in: cytoplasm, myelin, plasma membranes."""

from dataclasses import dataclass

import numpy as np

from training.phantoms.canvas import Canvas
from training.phantoms.cells import Cells
from training.phantoms.noise import Waves, soft_step
from training.phantoms.organelle import Organelle


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
        self._paint_myelin(canvas, edge < cells.sheath_nm.astype(np.float32)[cell])
        between = soft_step(-edge, 0.6 * canvas.frame.pixel_nm)
        canvas.image += between * np.float32(0.7) * (np.float32(self.gap_tone) - canvas.image)
        line = canvas.line(edge, 0.5 * self.width_nm, self.width_nm, canvas.cells.tilt)
        canvas.stain(line * np.float32(self.membranes))

    def _paint_myelin(self, canvas: Canvas, sheath: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
        if not sheath.any():
            return
        period = max(self.lamella_nm, 2.5 * canvas.frame.pixel_nm)
        waves = np.cos(2 * np.pi * canvas.cells.edge / np.float32(period))
        tone = self.myelin + 0.08 * waves + 0.03 * canvas.grain
        tone += 0.05 * self.patches.plane(canvas.z_nm, canvas.rows_nm, canvas.columns_nm)
        canvas.image[sheath] = tone[sheath]
        canvas.kinds[sheath] = Organelle.MYELIN


def draw_ground(rng: np.random.Generator) -> Ground:
    """The membranes of a specimen."""
    return Ground(
        width_nm=rng.uniform(7, 16),
        gap_tone=rng.uniform(0.3, 0.9),
        membranes=rng.uniform(0.6, 1),
        myelin=rng.uniform(0.05, 0.3),
        lamella_nm=rng.uniform(11, 30),
        patches=Waves.draw(rng, 150, 32),
    )
